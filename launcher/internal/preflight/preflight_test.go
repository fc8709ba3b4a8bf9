package preflight

import (
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

// What is judged on a terminal must not be able to repaint it.
func TestSheetHoldsNoControlBytes(t *testing.T) {
	b, err := manifest.ParseBottle("dev", "dev.md", []byte("---\negress: {routes: [{host: a.example}]}\n---\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	b.Pipelock.AllowPrivate = []string{"x\x1b[2Jy", "z\u202e"}
	s := Sheet{
		Launch: &manifest.Launch{Agent: &manifest.Agent{Name: "demo", File: "/tmp/\x1b]0;x\a/demo.md"}, Bottle: b},
		Trust:  &pki.Trust{}, Fingerprints: map[string]string{"egress": "AA:BB"}, Images: map[string]string{"i:dev": "sha256:0123456789abcdef"},
		Runtime: "runsc",
	}
	var out strings.Builder
	if err := s.Write(&out); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\a\u202e") {
		t.Errorf("got %q", out.String())
	}
	for _, want := range []string{"a.example any method, any path", "CA         egress AA:BB", "i:dev sha256:0123456789ab\n", "runtime    runsc"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing from\n%s", want, out.String())
		}
	}
}
