//go:build linux

package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
)

// fakeHome is a home with one bottle and one agent, "demo", and the environment
// in which the launcher takes it and the docker that pretends.
func fakeHome(t *testing.T, front string) (home string, env []string) {
	t.Helper()
	work := t.TempDir()
	fake, err := placeFake(work)
	if err != nil {
		t.Fatal(err)
	}
	home = filepath.Join(work, "home")
	for path, text := range map[string]string{
		"bottles/dev.md": "---\n" + front + "\n---\n", "agents/demo.md": "---\nbottle: dev\n---\n", "docker/calls": "",
	} {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home, []string{"PATH=" + fake + ":/bin:/usr/bin", "HOME=" + work, "BOTTLE_HOME=" + home, "DOCKER_CONFIG=" + filepath.Join(home, "docker"), "DOCKER_HOST=" + fakeHost, "TERM=xterm"}
}

// atTerminal runs the launcher, which the test binary is by that name, in front of
// somebody.
func atTerminal(t *testing.T, env []string, args ...string) *testkit.Terminal {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0], cmd.Env = "launcher", env
	return testkit.StartAtTerminal(t, cmd)
}

func TestAskedOnTheTerminal(t *testing.T) {
	home, env := fakeHome(t, "env: {DB_PASS: '?Database password', TZ: UTC}\negress: {routes: [{host: a.example}]}")
	p := atTerminal(t, env, "start", "demo", "--", "psql")
	p.Answer("Start this bottle? [y/N] ", "y")
	p.Answer("Database password (for DB_PASS): ", "typed by hand")
	if got := p.Status(); got != 7 {
		t.Errorf("status %d\n%s", got, p.Shown())
	}
	if n := strings.Count(p.Shown(), "typed by hand"); n != 1 || !strings.Contains(p.Shown(), "its environment: DB_PASS=typed by hand") {
		t.Errorf("the answer is on the screen %d times, or did not reach the command:\n%s", n, p.Shown())
	}
	known, err := os.ReadFile(filepath.Join(home, "docker/known"))
	if err != nil || !strings.Contains(string(known), "name: DB_PASS") {
		t.Errorf("pipelockd is not told of it: %v\n%s", err, known)
	}
}

func TestInitAsksFourQuestions(t *testing.T) {
	home, env := fakeHome(t, "supervise: false")
	work := filepath.Dir(home)
	fake := filepath.Join(work, "fake")
	if err := os.WriteFile(filepath.Join(fake, "ssh-keygen"), []byte("#!/bin/sh\ntest \"$1 $2\" = '-F [git.example.com]:2222' && echo \"# Host\n|1|x|y ssh-ed25519 "+hostKey+"\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := atTerminal(t, append(env, "PATH="+fake), "init")
	p.Answer("What is the agent called? [demo] ", "Fixer")
	p.Answer("use lower-case letters", "fixer")
	p.Answer("Which program is it (shell, claude, codex)? [shell] ", "")
	p.Answer("or none)? [none] ", "nmp")
	p.Answer(`did you mean "npm"?`, "npm, go")
	p.Answer("a URL, or none)? [none] ", "ftp://x")
	p.Answer("ftp", "ssh://git@git.example.com:2222/group/My_App.git")
	if got := p.Status(); got != 0 || !strings.Contains(p.Shown(), "ssh-keygen -t ed25519 -N '' -f ~/.ssh/bottle_ed25519") {
		t.Errorf("status %d\n%s", got, p.Shown())
	}
	text, err := os.ReadFile(filepath.Join(home, "bottles/fixer.md")) // dev is there
	if err != nil {
		t.Fatal(err)
	}
	b, err := manifest.ParseBottle("fixer", "fixer.md", text, work)
	if err != nil {
		t.Fatal(err)
	}
	if r := b.Git[0]; r.Name != "my-app" || r.KnownHostKey != "ssh-ed25519 "+hostKey || !strings.HasSuffix(r.IdentityFile, "/.ssh/bottle_ed25519") || strings.Join(b.Presets, " ") != "npm go" {
		t.Errorf("%+v, %v", r, b.Presets)
	}
	if agent, err := os.ReadFile(filepath.Join(home, "agents/fixer.md")); err != nil || !strings.HasPrefix(string(agent), "---\nbottle: fixer\n---\n") {
		t.Errorf("%s, %v", agent, err)
	}
}

const hostKey = "AAAAC3NzaC1lZDI1NTE5AAAAIE5hhbeVFdcKjY3BQ0g0Hn5F7ZF4PFoL8p9cE1HkLKxV"

func TestAskedAndInterrupted(t *testing.T) {
	home, env := fakeHome(t, `env: {DB_PASS: "?Database password"}`)
	p := atTerminal(t, env, "start", "demo", "--yes")
	p.Answer("Database password (for DB_PASS): ", "")
	if got := p.Status(); got != 2 || !strings.Contains(p.Shown(), "dev.md:2:16: what was given for DB_PASS is empty") {
		t.Errorf("status %d\n%s", got, p.Shown())
	}
	if _, err := os.Stat(filepath.Join(home, "state")); err == nil {
		t.Error("a state directory is left")
	}
}

func TestListIsColoured(t *testing.T) {
	home, env := fakeHome(t, "supervise: false")
	for _, id := range []bottle.Identity{"demo-4f9ka", "demo-00000"} {
		s := bottle.Home{Dir: home}.State(id)
		if err := s.Create(); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteMetadata(bottle.Metadata{Version: 1, Identity: id, Agent: "demo", State: bottle.StateStopped}); err != nil {
			t.Fatal(err)
		}
	}
	p := atTerminal(t, env, "list")
	if p.Status(); !strings.Contains(p.Shown(), "\x1b[01mIDENTITY\x1b[0m") || strings.Count(p.Shown(), "\x1b[0m  demo ") != 2 {
		t.Errorf("no colours, or columns that do not stand below each other: %q", p.Shown())
	}
	p = atTerminal(t, append(env, "NO_COLOR=1"), "list")
	if p.Status(); strings.Contains(p.Shown(), "\x1b") {
		t.Errorf("colours that nobody wants: %q", p.Shown())
	}
}
