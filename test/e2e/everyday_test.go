package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/testkit"
)

// everydayChild takes its routes and pins from a parent.
const everydayChild = `---
extends: [other]
env: {DB_PASS: "?Database password", PLAIN: "its own"}
---
`

const everydayAgent = `---
bottle: everyday
skills: [review]
git_user: {name: "A \"good\" agent", email: agent@example.com}
---
Review what you are given.
`

// dbPass has no shape that a rule would know.
const dbPass = "orange-Kettle-42-under-the-stairs"

// TestEveryday is a day with one bottle: a manifest that extends another, skills, a
// git user, a value that is asked for, and the commands that work by its name.
func TestEveryday(t *testing.T) {
	w := need(t)
	home, user := w.newHome(t), t.TempDir()
	if err := w.writeManifest(home, "everyday", everydayChild); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(home, "agents/everyday.md"):                         everydayAgent,
		filepath.Join(user, ".claude/skills/review/SKILL.md"):             "# How to review\n",
		filepath.Join(user, ".claude/skills/review/scripts/checklist.sh"): "#!/bin/sh\necho checked\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	started, err := w.operator(home, "HOME="+user, "DB_PASS="+dbPass).Start("everyday", "--name", "morning")
	if err != nil {
		t.Fatal(err)
	}
	b := &bottle{started, started.ID, started.State}
	w.later(b.close)

	t.Run("manifest", func(t *testing.T) {
		for script, want := range map[string]string{
			"git config user.name; git config user.email":                           "A \"good\" agent\nagent@example.com\n",
			"cat /etc/bottle/skills/review/SKILL.md":                                "# How to review\n",
			"/etc/bottle/skills/review/scripts/checklist.sh":                        "checked\n",
			"printenv DB_PASS PLAIN":                                                dbPass + "\nits own\n",
			"curl -sS -o /dev/null -w '%{http_code}' " + w.url("open", "/v1/hello"): "200",
		} {
			if got := b.shell(t, script); got != want {
				t.Errorf("%s: %q, not %q", script, got, want)
			}
		}
		if r := b.exec(t, "root", "echo x >> /etc/bottle/skills/review/SKILL.md; echo x >> /etc/gitconfig"); r.Status == 0 {
			t.Error("root in the bottle wrote into what is read-only")
		}
	})
	t.Run("asked value", func(t *testing.T) {
		before := w.upstream.Mark()
		out := b.shell(t, `curl -sS -D - -o /dev/null --data-binary "pass=$DB_PASS" `+w.url("open", "/v1/upload"))
		if !strings.Contains(out, string(policy.ReasonSecretFound)) {
			t.Errorf("it was sent: %s", out)
		}
		sawNothing(t, w.upstream, before)
		b.awaitLine(t, "pipelockd", "the value", func(l audit.Line) bool { return l.Reason == policy.ReasonSecretFound && l.Path == "/v1/upload" })
		secrets := map[string]string{"the answer": dbPass}
		for component, c := range containers(t, b.id) {
			search(t, "docker inspect of "+component, strings.NewReader(mustDocker(t, "inspect", c.ID)), secrets)
		}
		for _, file := range []string{"compose.yaml", "metadata.json", ".env.example", "config/pipelockd.yaml"} {
			f, err := os.Open(filepath.Join(b.dir, file))
			if err != nil {
				t.Fatal(err)
			}
			search(t, file, f, secrets)
			f.Close()
		}
	})
	t.Run("commands", func(t *testing.T) {
		for _, c := range []struct {
			stdin string
			args  []string
			want  int
			out   string
		}{
			{"", []string{"exec", "morning", "--", "sh", "-c", "exit 42"}, 42, ""},
			{"echo script $0 $(id -un); exit 3", []string{"exec", "everyday"}, 3, "script bash agent\n"},
			{"piped", []string{"exec", "morning", "--", "cat"}, 0, "piped"},
			{"", []string{"exec", "morning", "--user", "root", "--", "id", "-u"}, 0, "0\n"},
			{"", []string{"attach", "morning"}, 2, ""},
		} {
			r := finish(t, w.operator(home).Command(t.Context(), c.args...), c.stdin)
			if r.Status != c.want || c.out != "" && r.Stdout != c.out {
				t.Errorf("%q ended with %s", c.args, r)
			}
		}
		if l := w.list(t, home); len(l) != 1 || l[0].Name != "morning" || l[0].State != "running" {
			t.Errorf("list --json: %+v", l)
		}
		r := w.run(t, home, "logs", "morning")
		var last string
		for line := range strings.Lines(r.Stdout) {
			_, text, _ := strings.Cut(line, " | ")
			if at, _, _ := strings.Cut(text, " "); at < last {
				t.Fatalf("the logs are not in the order of time:\n%s", r.Stdout)
			} else if at > last {
				last = at
			}
		}
	})
	t.Run("attach", func(t *testing.T) { attach(t, w, home, b) })
	if err := b.close(); err != nil { // the file with what was asked for is gone, too
		t.Error(err)
	}
	if r := w.run(t, home, "cleanup", "morning", "--yes"); r.Status != 0 || !strings.Contains(r.Stdout, "removed "+b.id) || !strings.Contains(r.Stdout, "home directory") {
		t.Errorf("cleanup: %s", r)
	}
}

// attach works at a terminal in the bottle, makes its window smaller, and leaves.
func attach(t *testing.T, w *world, home string, b *bottle) {
	p := testkit.StartAtTerminal(t, w.operator(home, "TERM=xterm").Command(t.Context(), "attach", "morning"))
	p.Resize(30, 101)
	p.Answer("$ ", "stty size; printenv DB_PASS | wc -c; tty; id -un")
	p.Until("30 101")
	p.Until("/dev/pts/")
	p.Resize(17, 53)
	p.Answer("agent\r\n", "sleep 1; stty size")
	p.Until("17 53")
	p.Type("cat")
	p.Answer("cat\r\n", "back and forth")
	p.Answer("back and forth\r\nback and forth", "\x03")
	p.Type("exit 9")
	if got := p.Status(); got != 9 {
		t.Errorf("attach ended with %d:\n%s", got, p.Shown())
	}
	if !b.Up() {
		t.Error("leaving the terminal took the bottle down")
	}
}
