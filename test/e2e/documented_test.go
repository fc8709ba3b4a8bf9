package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commands are those of a sidecar's document, in a directory of their own.
type commands struct {
	t      *testing.T
	name   string // of the sidecar
	dir    string
	script string
	env    []string
}

// documented takes the first commands of docs/NAME.md, with replacements in pairs and
// an environment for them.
func documented(t *testing.T, name string, replacements []string, env ...string) *commands {
	t.Helper()
	doc, err := os.ReadFile("../../docs/" + name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatalf("docs/%s.md has no commands", name)
	}
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	d := &commands{t: t, name: name, dir: t.TempDir(), script: strings.NewReplacer(replacements...).Replace(string(block[1])), env: append(os.Environ(), env...)}
	d.must("ln -s " + repository + "/compose compose")
	return d
}

func (d *commands) run(script string) (string, error) {
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir, cmd.Env = d.dir, d.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (d *commands) must(script string) {
	d.t.Helper()
	if out, err := d.run(script); err != nil {
		d.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// up does what the document says; the sidecar ends with the test.
func (d *commands) up() {
	d.t.Helper()
	d.t.Cleanup(func() {
		if out, err := d.run("docker compose -f compose/" + d.name + ".yaml --project-directory trial down"); err != nil {
			d.t.Errorf("%v\n%s", err, out)
		}
	})
	d.must(d.script)
}
