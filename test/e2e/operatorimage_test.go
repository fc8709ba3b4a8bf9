package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOperatorDockerfile starts a bottle whose operator builds on top of the
// provider's image: the program is there, the image becomes nobody else, and it is
// built when its lines have changed and only then.
func TestOperatorDockerfile(t *testing.T) {
	w := need(t)
	home := t.TempDir()
	if err := w.writeManifest(home, "builder", "---\nagent_provider: {dockerfile: builder.Dockerfile}\n---\n"); err != nil {
		t.Fatal(err)
	}
	said := "n" + digits(8) // what no earlier run has built
	write := func(what string) {
		lines := fmt.Sprintf("FROM ${BOTTLE_BASE} AS made\nUSER root\nRUN printf '#!/bin/sh\\necho %s\\n' >/newtool && chmod 4755 /newtool\nFROM ${BOTTLE_BASE}\nCOPY --from=made /newtool /usr/local/bin/newtool\n", what)
		if err := os.WriteFile(filepath.Join(home, "bottles", "builder.Dockerfile"), []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var images []string
	t.Cleanup(func() {
		for _, image := range images {
			mustDocker(t, "image", "rm", "-f", image)
		}
	})
	for _, c := range []struct {
		say   string
		built bool
	}{{said, true}, {said, false}, {said + "x", true}} {
		write(c.say)
		r := w.run(t, home, "start", "builder", "--yes", "--prompt", "newtool; id -un; find / -xdev -type f -perm /6000 2>/dev/null; true")
		if r.Status != 0 || r.Stdout != c.say+"\nagent\n" {
			t.Errorf("%s: %s", c.say, r)
		}
		_, image, built := strings.Cut(r.Stderr, "image: building ")
		if built != c.built {
			t.Errorf("%s: built %v, %s", c.say, built, r)
		}
		if built {
			images = append(images, strings.Fields(image)[0])
		}
	}
	if err := os.WriteFile(filepath.Join(home, "bottles", "builder.Dockerfile"), []byte("RUN false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.run(t, home, "start", "builder", "--yes", "--", "true"); r.Status != 2 || !strings.Contains(r.Stderr, "builder.md:2:") || !strings.Contains(r.Stderr, "--build-network") {
		t.Errorf("a build that fails: %s", r)
	}
}
