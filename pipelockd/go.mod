module github.com/bottlesuite/bottle/pipelockd

go 1.26.0

require (
	github.com/andybalholm/brotli v1.2.8
	github.com/bottlesuite/bottle v0.0.0
	github.com/elazarl/goproxy v1.9.3
	github.com/klauspost/compress v1.20.3
)

require (
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/crypto/x509roots/fallback v0.0.0-20261030153154-30a33513ff6d // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/bottlesuite/bottle => ../
