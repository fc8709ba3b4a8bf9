module github.com/bottlesuite/bottle/superviserd

go 1.26.0
