package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sha256Of(data []byte) [32]byte { return sha256.Sum256(data) }

// TestRenderedBundleRunsByComposeAlone renders a bottle, fills in .env as its
// example says, and uses nothing but `docker compose` from there on.
func TestRenderedBundleRunsByComposeAlone(t *testing.T) {
	w := need(t)
	dir := filepath.Join(t.TempDir(), "bundle")
	if r := w.run(t, w.home, "render", "tester", "-o", dir); r.Status != 0 {
		t.Fatalf("render ended with %s", r)
	}
	files := []string{"compose.yaml", "config/egressd.yaml", "config/pipelockd.yaml", "ca/agent/ca-certificates.crt", "ca/egress/key.pem", "ca/pipelock/key.pem", ".env.example"}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(data, []byte(w.token)) {
			t.Errorf("%s holds the token", file)
		}
		if fi, err := os.Stat(filepath.Join(dir, file)); err == nil && strings.HasSuffix(file, "key.pem") && fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, fi.Mode())
		}
	}
	w.fillIn(t, dir)

	// Compose gets no token by its environment.
	compose := func(args ...string) (string, error) {
		var out, complaint bytes.Buffer
		cmd := exec.Command("docker", append([]string{"compose"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "E2E_TOKEN=")
		cmd.Stdout, cmd.Stderr = &out, &complaint
		err := cmd.Run()
		if err != nil {
			err = fmt.Errorf("docker compose %s: %w: %s", strings.Join(args, " "), err, complaint.String())
		}
		return out.String(), err
	}
	t.Cleanup(func() {
		if _, err := compose("down", "-v"); err != nil {
			t.Error(err)
		}
		data, _ := os.ReadFile(filepath.Join(dir, "compose.yaml"))
		for line := range strings.Lines(string(data)) {
			if name, ok := strings.CutPrefix(line, "name: bottle-"); ok {
				if err := remains(strings.TrimSpace(name)); err != nil {
					t.Error(err)
				}
				return
			}
		}
		t.Error("the bundle does not name its project")
	})
	if _, err := compose("up", "-d"); err != nil {
		t.Fatal(err)
	}
	before := w.upstream.Mark()
	for deadline := time.Now().Add(execTime); ; time.Sleep(200 * time.Millisecond) {
		out, err := compose("exec", "-T", "agent", "curl", "-sS", "--fail", w.url("api", "/v1/hello"))
		if err == nil && strings.Contains(out, `"path":"/v1/hello"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no answer: %q, %v", out, err)
		}
	}
	if r := sawOne(t, w.upstream, before); r.Header.Get("Authorization") != "Bearer "+w.token {
		t.Error("the upstream did not see the real credential")
	}
	before = w.upstream.Mark()
	out, err := compose("exec", "-T", "agent", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", w.url("api", "/admin"))
	if out != "403" {
		t.Errorf("another path was answered with %q, %v", out, err)
	}
	sawNothing(t, w.upstream, before)
}

// fillIn writes .env after its example: the path of a file for each token.
func (w *world) fillIn(t *testing.T, dir string) {
	t.Helper()
	tokens, err := os.MkdirTemp("/dev/shm", "bottle-e2e-")
	if err != nil {
		t.Skip("this system has no /dev/shm:", err)
	}
	t.Cleanup(func() { os.RemoveAll(tokens) })
	example, err := os.ReadFile(filepath.Join(dir, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"E2E_TOKEN": w.token, "E2E_BASIC": w.keys["E2E_BASIC"], "E2E_KEY": w.keys["E2E_KEY"]}
	var env strings.Builder
	for line := range strings.Lines(string(example)) {
		name, ok := strings.CutSuffix(strings.TrimSpace(line), "_FILE=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		file := filepath.Join(tokens, name)
		if err := os.WriteFile(file, []byte(values[name]), 0o400); err != nil {
			t.Fatal(err)
		}
		if os.Getuid() == 0 { // the sidecars' user, as .env.example says
			if err := os.Chown(file, 65532, 65532); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&env, "%s_FILE=%s\n", name, file)
		delete(values, name)
	}
	if len(values) > 0 {
		t.Errorf(".env.example does not name %d tokens:\n%s", len(values), example)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(env.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
