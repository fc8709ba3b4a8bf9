package daemon

import "testing"

func TestAtMostOneProcessor(t *testing.T) {
	for s, want := range map[string]bool{
		"100000 100000\n":   true,
		"50000 100000\n":    true,
		"100000\n 100000\n": true,
		"150000 100000\n":   false,
		"max 100000\n":      false,
		"-1\n 100000\n":     false,
		"":                  false,
		"100000":            false,
		"x y":               false,
	} {
		if got := atMostOne(s); got != want {
			t.Errorf("atMostOne(%q) = %t", s, got)
		}
	}
}
