package provider

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocsSayWhatIs holds docs/providers.md against the providers and the versions
// that their images hold.
func TestDocsSayWhatIs(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	data, err := os.ReadFile(filepath.Join(root, "docs", "providers.md"))
	if err != nil {
		t.Fatal(err)
	}
	docs := string(data)
	for _, name := range Names() {
		p, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		image, _, _ := strings.Cut(p.Image, ":")
		wants := []string{image, "`" + strings.Join(p.Command, " ") + "`", "`" + strings.Join(p.Ask("TEXT"), " ") + "`", p.Transcript}
		for _, c := range p.Credentials {
			wants = append(wants, "`"+c.Variable+"`")
		}
		if p.Routes != "" {
			wants = append(wants, "egress:\n  routes:\n    "+strings.ReplaceAll(strings.TrimSpace(p.Routes), "\n", "\n    ")+"\n")
		}
		if text, err := os.ReadFile(filepath.Join(root, "images", strings.TrimPrefix(image, "bottle/"), "package.json")); err == nil {
			var pkg struct{ Dependencies map[string]string }
			if err := json.Unmarshal(text, &pkg); err != nil {
				t.Fatal(err)
			}
			for _, version := range pkg.Dependencies {
				wants = append(wants, " "+version)
			}
		}
		for _, want := range wants {
			if !strings.Contains(docs, want) {
				t.Errorf("%s: docs/providers.md does not say %q", name, want)
			}
		}
	}
}
