package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// gitBottle has one remote, behind a real sshd, and no route.
const gitBottle = `---
env: {TZ: UTC}
pipelock:
  hosts: {git.demo.example: <upstream>}
git:
  - name: app
    upstream: ssh://<user>@git.demo.example:<port><repository>
    identity_file: <identity>
    known_host_key: <hostkey>
    refs: {allow: ["refs/heads/agent/*"]}
---
`

// gitServer is a real sshd with a repository, on an address that bottles reach.
type gitServer struct{ dir, bare, identity, hostKey, port, user string }

func startGitServer(t *testing.T) *gitServer {
	t.Helper()
	sshd := "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil || os.Getuid() != 0 {
		t.Skip("this test needs root and openssh-server")
	}
	dir := t.TempDir()
	g := &gitServer{dir: dir, bare: filepath.Join(dir, "app.git"), identity: filepath.Join(dir, "id"), user: "root"}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=o", "GIT_AUTHOR_EMAIL=o@x", "GIT_COMMITTER_NAME=o", "GIT_COMMITTER_EMAIL=o@x")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "host")
	run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "id")
	pub, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	g.hostKey = strings.Join(strings.Fields(string(pub))[:2], " ")
	run("git", "init", "-q", "--bare", "--initial-branch=main", g.bare)
	run("git", "init", "-q", "--initial-branch=main", "seed")
	run("git", "-C", "seed", "commit", "-q", "--allow-empty", "-m", "The beginning")
	run("git", "-C", "seed", "push", "-q", g.bare, "main")

	l, err := net.Listen("tcp", upstreamAddress+":0")
	if err != nil {
		t.Fatal(err)
	}
	_, g.port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	// SHLVL keeps bash from reading the .bashrc of whoever runs the tests.
	conf := fmt.Sprintf("ListenAddress %s\nPort %s\nHostKey %s/host\nAuthorizedKeysFile %s/id.pub\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nAcceptEnv GIT_PROTOCOL\nSetEnv SHLVL=2\n", upstreamAddress, g.port, dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", filepath.Join(dir, "conf"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", net.JoinHostPort(upstreamAddress, g.port)); err == nil {
			_ = c.Close()
			return g
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the sshd did not start")
	return nil
}

// refs are the upstream's.
func (g *gitServer) refs(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("git", "-C", g.bare, "for-each-ref").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// bottle starts a bottle with this server as its remote.
func (g *gitServer) bottle(t *testing.T, w *world, home, manifest string, flags ...string) *bottle {
	t.Helper()
	manifest = strings.NewReplacer("<user>", g.user, "<port>", g.port, "<repository>", g.bare, "<identity>", g.identity, "<hostkey>", g.hostKey).Replace(manifest)
	if err := w.writeManifest(home, "coder", manifest); err != nil {
		t.Fatal(err)
	}
	return w.mustStart(t, home, "coder", flags...)
}

// url is the repository as the upstream calls it.
func (g *gitServer) url() string { return "ssh://" + g.user + "@git.demo.example:" + g.port + g.bare }

// clone gives the agent a name and a clone in ./app.
func clone(url string) string {
	return "git config --global user.name a; git config --global user.email a@b; git clone -q " + url + " app"
}

func TestGitGate(t *testing.T) { gitGate(t, need(t)) }

// TestMachineGit is TestGitGate for an agent in a virtual machine, whose pushes go
// through the gateway.
func TestMachineGit(t *testing.T) {
	gitGate(t, needMachines(t), "--backend", "smolmachines", "--discard")
}

// gitGate clones, pushes, and tries to push a secret, in a real bottle, by the
// upstream's own URLs.
func gitGate(t *testing.T, w *world, flags ...string) {
	t.Helper()
	g := startGitServer(t)
	b := g.bottle(t, w, t.TempDir(), gitBottle, flags...)
	out := b.shell(t, clone(g.url())+" && cd app && git log --format=%s && git ls-remote "+strings.TrimSuffix(g.url(), ".git")+" HEAD")
	if !strings.HasPrefix(out, "The beginning\n") {
		t.Errorf("cloned %q", out)
	}
	b.shell(t, "cd app && git checkout -q -b agent/work && echo x > x && git add x && git commit -q -m X && git push -q origin HEAD")
	if !strings.Contains(g.refs(t), "refs/heads/agent/work") {
		t.Error("the push did not arrive")
	}
	before := g.refs(t)
	secret := "ghp_" + digits(36)
	for what, script := range map[string]string{
		"secret_found":    "echo token=" + secret + " > s && git add s && git commit -q -m S && git push origin HEAD; git reset -q --hard HEAD~1",
		"ref_not_allowed": "git push origin HEAD:refs/heads/main",
	} {
		r := b.exec(t, "agent", "cd app; ("+script+") 2>&1; true")
		if !strings.Contains(r.Stdout, what) {
			t.Errorf("want %s in %s", what, r)
		}
		if after := g.refs(t); after != before {
			t.Errorf("%s: the upstream changed:\n%s", what, after)
		}
		b.awaitLine(t, "gitgated", what, func(l audit.Line) bool { return l.Decision == policy.Deny && string(l.Reason) == what })
	}
	where := "/"
	if len(flags) > 0 { // an emulated machine is slow, and what is put there goes to these
		where = "/bottle /etc /home /mnt /opt /root /run /srv /tmp /var"
	}
	b.noKeyInside(t, g, where)
}

// noKeyInside looks for the key where the agent, root included, could see it, below
// some places, and for the agent's way to anything else of the gate.
func (b *bottle) noKeyInside(t *testing.T, g *gitServer, where string) {
	t.Helper()
	key, err := os.ReadFile(g.identity)
	if err != nil {
		t.Fatal(err)
	}
	middle := strings.Split(string(key), "\n")[2]
	for _, user := range users {
		r := b.exec(t, user, "grep -rlsF "+middle+" "+where+" --exclude-dir=proc --exclude-dir=sys; env | grep -F "+middle+"; git config --list | grep -F "+middle+
			"; curl -s -m 3 http://git-gate:9903/status; ssh -V; curl -s -m 3 --noproxy '*' http://"+upstreamAddress+":"+g.port+"; true")
		if strings.TrimSpace(r.Stdout) != "" {
			t.Errorf("as %s: %s", user, r)
		}
	}
	inspected := mustDocker(t, append([]string{"inspect"}, strings.Fields(mustDocker(t, "ps", "-aq", "--filter", "label=bottle.identity="+b.id))...)...)
	logs := mustDocker(t, "logs", containers(t, b.id)["gitgated"].ID)
	for where, text := range map[string]string{"docker inspect": inspected, "the gate's log": logs} {
		if strings.Contains(text, middle) {
			t.Errorf("the key is in %s", where)
		}
	}
	for _, file := range []string{"compose.yaml", "config/gitgated.yaml", "metadata.json"} {
		data, err := os.ReadFile(filepath.Join(b.dir, file))
		if err != nil || strings.Contains(string(data), middle) {
			t.Errorf("%s holds the key, or cannot be read: %v", file, err)
		}
	}
}
