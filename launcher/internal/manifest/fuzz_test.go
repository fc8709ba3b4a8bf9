package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Whatever stands in a manifest, it is read or refused in one sentence with a
// place; what was read can be amended, and the result is read again.
func FuzzParseBottle(f *testing.F) {
	doc, err := os.ReadFile("../../../docs/manifest.md")
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range block.FindAllSubmatch(doc, -1) {
		f.Add(m[2])
	}
	for _, text := range family {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "base.md"), []byte(family["home/bottles/root.md"]), 0o600); err != nil {
		f.Fatal(err)
	}
	file := filepath.Join(dir, "it.md")
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, _, err := ParseAgent("it", file, data); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
		b, err := ParseBottle("it", file, data, dir)
		if err != nil {
			if e, ok := err.(*wire.Error); !ok || e.Line < 1 || strings.Contains(e.Error(), "\n") {
				t.Errorf("no sentence with a place: %q", err)
			}
			return
		}
		for _, g := range []wire.Grant{{Host: "new.example.com"}, {Route: &wire.Route{Host: "api.example.com", Matches: []wire.Match{{Methods: []string{"PUT"}}}}}} {
			out, err := Amend("it", file, data, g, dir)
			if err != nil {
				continue // as where a list is an alias's; nothing is written then
			}
			again, err := ParseBottle("it", file, out, dir)
			if err != nil {
				t.Fatalf("what was amended is refused: %v\n%s", err, out)
			}
			if len(again.Routes)+len(again.Pipelock.Allow) <= len(b.Routes)+len(b.Pipelock.Allow) {
				t.Fatalf("nothing was added:\n%s", out)
			}
		}
	})
}
