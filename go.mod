module github.com/bottlesuite/bottle

go 1.26.0

require go.yaml.in/yaml/v4 v4.0.0

require golang.org/x/net v0.62.0
