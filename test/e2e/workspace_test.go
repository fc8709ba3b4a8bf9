package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/test/trial"
)

// quietBottle reaches nothing.
const quietBottle = "---\nsupervise: true\nresources: {cpus: 1, memory: 1GiB, pids: 256}\n---\n"

// project is a repository of the operator's.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"main.txt": "one\n", "sub/keep.txt": "keep\n", "old.txt": "old\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q", "--initial-branch=main")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "First")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=o", "GIT_AUTHOR_EMAIL=o@x", "GIT_COMMITTER_NAME=o", "GIT_COMMITTER_EMAIL=o@x")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// spoil is what a compromised agent leaves in its workspace for the host.
const spoil = `cd ~/workspace
git -c user.name=a -c user.email=a@b commit -q --allow-empty -m Work
echo two > main.txt; echo new > new.txt; rm old.txt
printf '#!/bin/sh\ntouch /tmp/pwned\n' > .git/hooks/post-checkout; chmod +x .git/hooks/post-checkout
git config core.fsmonitor 'touch /tmp/pwned'
mkdir -p .vscode .claude; echo '{}' > .vscode/tasks.json; echo '{}' > .claude/settings.json
ln -s /etc/passwd link; ln -s .. up; mkfifo pipe; printf '#!/bin/sh\n' > tool; chmod 4755 tool`

// TestWorkspace carries a project in, and what the agent made of it out: the
// commits and the files, but nothing that would run on the host by itself. It does
// so from a bottle that is up and from one that was stopped, and a stopped one
// goes on where it was.
func TestWorkspace(t *testing.T) {
	w := need(t)
	home, dir := t.TempDir(), project(t)
	if err := w.writeManifest(home, "quiet", quietBottle); err != nil {
		t.Fatal(err)
	}
	b := w.mustStart(t, home, "quiet", "--cwd", dir)
	if out := b.shell(t, "cd ~/workspace && git status --short && git log --format=%s && cat main.txt && stat -c %U main.txt"); out != "First\none\nagent\n" {
		t.Errorf("inside: %q", out)
	}
	b.shell(t, spoil)
	config, err := os.ReadFile(filepath.Join(dir, ".git/config"))
	if err != nil {
		t.Fatal(err)
	}
	r := w.run(t, home, "copy-out", b.id, "--dry-run")
	for _, want := range []string{
		"  ~ main.txt\n", "  + new.txt\n", "  - old.txt (stays; --delete removes it)\n", "! + .git/hooks/post-checkout: ", "! ~ .git/config: ", "! + .vscode/tasks.json: settings or tasks",
		"! + .claude/settings.json: ", "! + link: cannot be written", "! + up: cannot be written", "! + pipe: left out", "! + tool: it is a program",
	} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("%q is missing from %s", want, r)
		}
	}
	if out := git(t, dir, "status", "--short"); out != "" {
		t.Errorf("--dry-run wrote: %s", out)
	}
	if status, err := b.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(status, err)
	}
	if r := w.run(t, home, "copy-out", b.id, "--yes", "--delete", "--with", "tool"); r.Status != 0 {
		t.Fatal(r)
	}
	if out := git(t, dir, "log", "--format=%s"); out != "Work\nFirst\n" {
		t.Errorf("the commits: %q", out)
	}
	if out := git(t, dir, "status", "--short"); out != " M main.txt\n D old.txt\n?? new.txt\n?? tool\n" {
		t.Errorf("the files: %q", out)
	}
	for _, name := range []string{".git/hooks/post-checkout", ".vscode", ".claude", "link", "up", "pipe"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s reached the host", name)
		}
	}
	if now, err := os.ReadFile(filepath.Join(dir, ".git/config")); err != nil || string(now) != string(config) {
		t.Errorf("the host's git was configured: %s", now)
	}
	if fi, err := os.Stat(filepath.Join(dir, "tool")); err != nil || fi.Mode() != 0o755 {
		t.Errorf("the program came as %v", fi.Mode())
	}
	if r := w.run(t, home, "resume", b.id, "--yes", "--", "sh", "-c", "cat ~/workspace/new.txt; git -C ~/workspace log -1 --format=%s"); r.Status != 0 || r.Stdout != "new\nWork\n" {
		t.Errorf("resumed after an ordinary stop: %s", r)
	}
}

// TestWorkspaceWithACredential starts nothing that would carry a token in.
func TestWorkspaceWithACredential(t *testing.T) {
	w := need(t)
	home, dir := t.TempDir(), project(t)
	if err := w.writeManifest(home, "quiet", quietBottle); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "remote", "add", "origin", "https://me:hunter22@git.example/x.git")
	r := w.run(t, home, "start", "quiet", "--yes", "--cwd", dir, "--", "true")
	if r.Status == 0 || !strings.Contains(r.Stderr, ".git/config:") || strings.Contains(r.Stderr, "hunter22") {
		t.Errorf("%s", r)
	}
	if all := w.list(t, home); len(all) != 1 || all[0].State != "stopped" {
		t.Fatalf("the home lists %+v", all)
	} else if err := remains(all[0].Identity); err != nil {
		t.Error(err)
	}
}

// TestWorkspaceMounted is the same without a copy, by an explicit flag.
func TestWorkspaceMounted(t *testing.T) {
	w := need(t)
	home, dir := t.TempDir(), project(t)
	if err := w.writeManifest(home, "quiet", quietBottle); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "sub")} {
		if err := os.Chown(d, 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	b := w.mustStart(t, home, "quiet", "--cwd", dir, "--mount")
	b.shell(t, "cd ~/workspace && cat main.txt && echo here > made.txt")
	if text, err := os.ReadFile(filepath.Join(dir, "made.txt")); err != nil || string(text) != "here\n" {
		t.Errorf("%q %v", text, err)
	}
	if r := w.run(t, home, "copy-out", b.id); r.Status != 2 || !strings.Contains(r.Stderr, "mounted") {
		t.Errorf("copy-out: %s", r)
	}
}

// TestResumeAfterAReboot takes away what a reboot does: the launcher, the running
// containers, and what lay in memory. The agent goes on with its files.
func TestResumeAfterAReboot(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	if err := w.writeManifest(home, "asker", askerBottle); err != nil {
		t.Fatal(err)
	}
	b := w.mustStart(t, home, "asker")
	b.shell(t, "echo before > ~/workspace/note")
	if _, err := b.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ids := strings.Fields(mustDocker(t, "ps", "-q", "--filter", "label=bottle.identity="+b.id))
	if len(ids) == 0 {
		t.Fatal("the containers ended with the launcher")
	}
	mustDocker(t, append([]string{"kill"}, ids...)...)
	for _, root := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		dirs, _ := filepath.Glob(filepath.Join(root, "bottle-*", b.id))
		for _, d := range dirs {
			if err := os.RemoveAll(d); root != "" && err != nil {
				t.Fatal(err)
			}
		}
	}
	again := w.operator(home).Command(t.Context(), "resume", b.id, "--yes", "--", "sh", "-c", "cat ~/workspace/note; curl -s -o /dev/null -w '%{http_code}' "+w.url("open", "/v1/hello"))
	r, err := trial.Finish(again, "")
	if err != nil || r.Status != 0 || r.Stdout != "before\n200" {
		t.Errorf("%v %s", err, r)
	}
	deadline := time.Now().Add(execTime)
	for err := remains(b.id); err != nil; err = remains(b.id) {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if r := w.run(t, home, "audit", "verify", b.id); r.Status != 0 {
		t.Errorf("audit verify: %s", r)
	}
}
