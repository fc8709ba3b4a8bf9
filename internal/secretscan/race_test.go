//go:build race

package secretscan

func init() { raced = true }
