package wire

import (
	"strings"
	"testing"
)

func TestSocketPath(t *testing.T) {
	for address, want := range map[string]string{
		"unix:///run/bottle/hop/pipelockd.sock": "/run/bottle/hop/pipelockd.sock",
		":8888":                                 "",
		"http://pipelock:8888":                  "",
		"unix://":                               "error",
		"unix:/run/x.sock":                      "error",
		"unix:///":                              "error",
		"unix://run/x.sock":                     "error",
		"unix:///run/../x.sock":                 "error",
		"unix:///run//x.sock":                   "error",
		"unix:///" + strings.Repeat("a", 107):   "error",
		"unix:///" + strings.Repeat("a", 106):   "/" + strings.Repeat("a", 106),
	} {
		got, ok, err := SocketPath(address)
		switch {
		case want == "error" && (err == nil || !ok):
			t.Errorf("%s was taken for %q", address, got)
		case want != "error" && (err != nil || got != want || ok != (want != "")):
			t.Errorf("%s: %q, %t, %v", address, got, ok, err)
		case ok && err == nil && Socket(got) != address:
			t.Errorf("%s came back as %s", address, Socket(got))
		}
	}
}
