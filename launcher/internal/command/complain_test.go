package command

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/launcher/internal/manifest"
)

// A token that stands where its name belongs is not repeated, and the mark stays
// below it.
func TestComplainMasksTokens(t *testing.T) {
	token := "ghp_" + "wJalrXUtnFEMIK7MDENGbPxRfiCYzQ4h2T9s"
	_, err := manifest.ParseBottle("b", "b.md", []byte("---\negress: {routes: [{host: a.example, auth: {scheme: Bearer, token_ref: "+token+"}}]}\n---\n"), "")
	if err == nil || !strings.Contains(err.Error(), token) {
		t.Fatalf("the error does not quote the value: %v", err)
	}
	var out bytes.Buffer
	complain(&out, err)
	stars := strings.Repeat("*", len(token))
	want := "launcher: b.md:2:71: token_ref \"" + stars + "\" is not the name of an environment variable ([A-Z][A-Z0-9_]*)\n" +
		"  2 | ...ost: a.example, auth: {scheme: Bearer, token_ref: " + stars + "}}]}\n" +
		"    |" + strings.Repeat(" ", 54) + strings.Repeat("^", len(token)) + "\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
