package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/test/trial"
)

// verifiedBottle has one of everything that an attempt could go for.
const verifiedBottle = `---
egress:
  routes:
    - host: {api}
      matches:
        - {path: {prefix: /v1/}, methods: [GET, POST]}
      auth: {scheme: Bearer, token_ref: E2E_TOKEN}
    - host: {open}
pipelock:
  hosts: {api.demo.example: <upstream>, open.demo.example: <upstream>}
  allow_private: [api.demo.example, open.demo.example]
  extra_ca: <ca>
git:
  - name: app
    upstream: ssh://git@open.demo.example:22/app.git
    identity_file: <key>
    known_host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKg1dOZr1tEJNlIvMbKYpeHK4nUYQyqp5JjJVpzWt5DQ
supervise: true
resources: {cpus: 1, memory: 1GiB, pids: 256}
---
`

// verdict is one object of `verify --json`.
type verdict struct{ ID, Group, Attempt, User, Result, Seen string }

// verdicts runs `verify --json` and decodes what it printed.
func (w *world) verdicts(t *testing.T, home string, args ...string) (list []verdict, r trial.Result) {
	t.Helper()
	r = w.runFor(t, machineTime, home, append([]string{"verify", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
		t.Fatalf("verify printed what is no JSON: %v: %s", err, r)
	}
	return list, r
}

// leaky are those that were not held, in words.
func leaky(list []verdict) (out []string) {
	for _, v := range list {
		if v.Result != "held" {
			out = append(out, fmt.Sprintf("%s %s %s: %s", v.Result, v.ID, v.User, v.Seen))
		}
	}
	return out
}

// distinct counts the attempts, whoever made them.
func distinct(list []verdict) int {
	ids := map[string]bool{}
	for _, v := range list {
		ids[v.ID] = true
	}
	return len(ids)
}

// held fails the test unless every attempt was held, and there were enough.
func held(t *testing.T, list []verdict, r trial.Result, least int) {
	t.Helper()
	if bad := leaky(list); len(bad) > 0 || r.Status != 0 {
		t.Errorf("status %d; not held:\n%s\n%s", r.Status, strings.Join(bad, "\n"), r.Stderr)
	}
	if n := distinct(list); n < least {
		t.Errorf("only %d attempts were made", n)
	}
}

// TestVerify makes all attempts in a bottle of which another launcher takes care.
func TestVerify(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	key := w.identity(t)
	if err := w.writeManifest(home, "verified", strings.ReplaceAll(verifiedBottle, "<key>", key)); err != nil {
		t.Fatal(err)
	}
	b := w.mustStart(t, home, "verified")
	before := w.upstream.Mark()
	list, r := w.verdicts(t, home, b.id)
	least := 213
	if underGVisor(t) {
		least -= 11 // what its kernel makes of nothing but itself
	}
	held(t, list, r, least)
	t.Logf("%d attempts, made %d times: %s", distinct(list), len(list), strings.TrimSpace(r.Stderr))
	for _, group := range []string{"Naming the destination", "Where it really connects", "Reading HTTP twice", "Leaking through allowed hosts", "Git", "Control plane", "Infrastructure"} {
		if !slices.ContainsFunc(list, func(v verdict) bool { return v.Group == group }) {
			t.Errorf("nothing of %q was tried", group)
		}
	}
	// The upstream is the one witness that the launcher does not have.
	sawNothing(t, w.upstream, before)
	if out := b.exec(t, "root", "ls -a / | grep probe; ps -ef 2>/dev/null | grep '[p]robe'; true"); out.Stdout != "" {
		t.Errorf("the probe is still there: %s", out)
	}
	// The bottle works as before.
	b.shell(t, "curl -sS --fail -o /dev/null "+w.url("api", "/v1/hello"))
}

// underGVisor reports whether the engine has gVisor, which the launcher takes then.
func underGVisor(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("docker", "info", "--format", "{{json .Runtimes}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(out), `"runsc"`)
}

// identity is a private key for a remote that is never spoken to.
func (w *world) identity(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestStartVerified hands over a bottle that holds: here one without routes, git and
// superviserd.
func TestStartVerified(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	r := w.run(t, home, "start", "plain", "--yes", "--verify", "--", "echo", "handed", "over")
	if r.Status != 0 || r.Stdout != "handed over\n" || !strings.Contains(r.Stderr, " holds: ") {
		t.Errorf("%s", r)
	}
	t.Log(lineWith(r.Stderr, " holds: "))
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
