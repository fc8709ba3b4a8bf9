module github.com/bottlesuite/bottle/gitgated

go 1.26.0

require (
	github.com/bottlesuite/bottle v0.0.0
	github.com/klauspost/compress v1.20.3
	go.yaml.in/yaml/v4 v4.0.0
	golang.org/x/crypto v0.58.0
	golang.org/x/net v0.62.0
	golang.org/x/sync v0.24.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/andybalholm/brotli v1.2.8 // indirect
	golang.org/x/crypto/x509roots/fallback v0.0.0-20261030153154-30a33513ff6d // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/bottlesuite/bottle => ../
