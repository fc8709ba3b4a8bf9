module github.com/bottlesuite/bottle/gitgated

go 1.26.0
