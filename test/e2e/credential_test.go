package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/test/upstream"
)

// TestCredentialIsInjected uses the agent's ordinary client.
func TestCredentialIsInjected(t *testing.T) {
	w, b := inBottle(t)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(w.keys["E2E_BASIC"]))
	for _, tc := range []struct{ site, field, value string }{
		{"api", "Authorization", "Bearer " + w.token},
		{"basic", "Authorization", basic},
		{"key", "X-Api-Key", w.keys["E2E_KEY"]},
		{"open", "", ""},
	} {
		t.Run(tc.site, func(t *testing.T) {
			before := w.upstream.Mark()
			body := b.shell(t, "curl -sS --fail "+w.url(tc.site, "/v1/hello"))
			var h upstream.Hello
			if err := json.Unmarshal([]byte(body), &h); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			want := map[string]string{}
			if tc.field != "" {
				want[tc.field] = upstream.Digest(tc.value)
			}
			if fmt.Sprint(h.Credentials) != fmt.Sprint(want) {
				t.Errorf("the upstream says that it saw %v, want %v", h.Credentials, want)
			}
			if r := sawOne(t, w.upstream, before); tc.field != "" && !slices.Equal(r.Header[tc.field], []string{tc.value}) {
				t.Errorf("the upstream saw %d values of %s, or another one", len(r.Header[tc.field]), tc.field)
			}
		})
	}
}

// TestTheAgentsOwnCredentialIsReplaced sends credentials of the agent's own
// along, in every field that could carry one.
func TestTheAgentsOwnCredentialIsReplaced(t *testing.T) {
	w, b := inBottle(t)
	for site, injected := range map[string]http.Header{
		"api":  {"Authorization": {"Bearer " + w.token}},
		"key":  {"X-Api-Key": {w.keys["E2E_KEY"]}},
		"open": {},
	} {
		t.Run(site, func(t *testing.T) {
			before := w.upstream.Mark()
			b.shell(t, `curl -sS --fail -o /dev/null -u agents-own:agents-own -H 'X-Api-Key: agents-own' -H 'X-Auth-Token: agents-own' \
				-H 'Proxy-Authorization: agents-own' -H 'Private-Token: agents-own' -H 'Bottle-Relay: agents-own' `+w.url(site, "/v1/hello"))
			r := sawOne(t, w.upstream, before)
			if r.Contains("agents-own") || r.Contains(base64.StdEncoding.EncodeToString([]byte("agents-own:agents-own"))) {
				t.Errorf("the agent's own credential reached the upstream: %v", r.Header)
			}
			for _, field := range []string{"Authorization", "X-Api-Key"} {
				if !slices.Equal(r.Header[field], injected[field]) {
					t.Errorf("the upstream saw %d values of %s, want %d", len(r.Header[field]), field, len(injected[field]))
				}
			}
			if r.Header["Bottle-Relay"] != nil {
				t.Error("what the proxies say to each other reached the upstream")
			}
		})
	}
}

// TestAReflectedCredentialIsNotShown asks a server that sends back what it got.
func TestAReflectedCredentialIsNotShown(t *testing.T) {
	w, b := inBottle(t)
	for _, as := range []string{"plain", "header", "base64", "url", "gzip", "chunks"} {
		t.Run(as, func(t *testing.T) {
			before := w.upstream.Mark()
			compressed := ""
			if as == "gzip" {
				compressed = "--compressed "
			}
			out := b.shell(t, "curl -sS --fail -i "+compressed+w.url("api", "/v1/reflect?as="+as))
			if r := sawOne(t, w.upstream, before); r.Header.Get("Authorization") != "Bearer "+w.token {
				t.Error("the upstream had nothing to reflect")
			}
			if !strings.Contains(out, "you sent ") {
				t.Errorf("the answer did not arrive: %s", out)
			}
			const phases = 3
			for shift := range phases { // base64 reads differently at each
				encoded := base64.StdEncoding.EncodeToString([]byte("xxx"[:shift] + w.token))
				if strings.Contains(out, w.token) || strings.Contains(out, encoded[4:len(encoded)-4]) {
					t.Errorf("the agent got to see the credential: %s", out)
					break
				}
			}
		})
	}
}

// secrets are what must be in no place but the ones it was made for.
func (w *world) secrets(t *testing.T, b *bottle) map[string]string {
	t.Helper()
	found := map[string]string{"E2E_TOKEN": w.token}
	for name, value := range w.keys {
		found[name] = value
	}
	err := filepath.WalkDir(filepath.Join(b.dir, "ca"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".key") && e.Name() != "key.pem" {
			return err
		}
		data, err := os.ReadFile(path)
		for line := range strings.Lines(string(data)) { // a line of base64 or of hex is enough to know it by
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") && len(line) >= 32 {
				rel, _ := filepath.Rel(b.dir, path)
				found[rel] = line
				break
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca/egress/key.pem", "ca/pipelock/key.pem", "ca/egress/relay.key", "ca/roots/egress.key"} {
		if found[name] == "" {
			t.Errorf("%s is not where this test looks for it", name)
		}
	}
	return found
}

// search reports the secrets in a stream, which may be large.
func search(t *testing.T, where string, in io.Reader, secrets map[string]string) (size int64) {
	t.Helper()
	const overlap = 256
	buf := make([]byte, 0, 1<<20)
	for {
		n, err := in.Read(buf[len(buf):cap(buf)])
		buf, size = buf[:len(buf)+n], size+int64(n)
		if len(buf) == cap(buf) || err != nil {
			for name, value := range secrets {
				if bytes.Contains(buf, []byte(value)) {
					t.Errorf("%s holds %s", where, name)
				}
			}
			keep := min(overlap, len(buf))
			buf = buf[:copy(buf, buf[len(buf)-keep:])]
		}
		if err != nil {
			return size
		}
	}
}

// TestSecretsAreNowhereInTheGuest reads the guest from inside as root: files,
// mounts, environments and arguments of all processes; and its file system from
// outside.
func TestSecretsAreNowhereInTheGuest(t *testing.T) {
	w, b := inBottle(t)
	secrets := w.secrets(t, b)
	// All but /usr, which is the image's alone; the search happens out here, so
	// that it does not bring in what it looks for.
	r := b.exec(t, "root", `tar -cf - --exclude=./proc --exclude=./sys --exclude=./usr --exclude=./dev -C / . 2>/dev/null
		ls -lR /dev; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/mounts /proc/cmdline 2>/dev/null; env; true`)
	if n := search(t, "the guest", strings.NewReader(r.Stdout), secrets); n < 1<<20 {
		t.Fatalf("the guest's files are only %d bytes: %s", n, r.Stderr)
	}
	if !strings.Contains(r.Stdout, "SSL_CERT_FILE=") || !strings.Contains(r.Stdout, "a value $of 'the host'") {
		t.Error("what came back does not hold the environment of the guest, so the search proves nothing")
	}
	cmd := exec.Command("docker", "diff", containers(t, b.id)["agent"].ID)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	search(t, "the list of the guest's changed files", bytes.NewReader(out), secrets)
}

// TestSecretsAreNowhereAtTheEngine looks at what the engine, Compose and the
// launcher have written down.
func TestSecretsAreNowhereAtTheEngine(t *testing.T) {
	w, b := inBottle(t)
	secrets := w.secrets(t, b)
	all := containers(t, b.id)
	if len(all) != 3 {
		t.Errorf("%d containers, want 3", len(all))
	}
	for component, c := range all {
		inspected := mustDocker(t, "inspect", c.ID)
		search(t, "docker inspect of "+component, strings.NewReader(inspected), secrets)
		search(t, "docker logs of "+component, strings.NewReader(mustDocker(t, "logs", c.ID)), secrets)
		search(t, "docker top of "+component, strings.NewReader(mustDocker(t, "top", c.ID)), secrets)
		// The writable layer, and what is left of the sidecars' whole file system.
		if component == "agent" {
			continue
		}
		export := exec.Command("docker", "export", c.ID)
		out, err := export.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := export.Start(); err != nil {
			t.Fatal(err)
		}
		if n := search(t, "the file system of "+component, out, secrets); n < 1<<20 {
			t.Errorf("the file system of %s has only %d bytes", component, n)
		}
		if err := export.Wait(); err != nil {
			t.Error(err)
		}
	}
	for _, kind := range []string{"compose.yaml", "compose.log", "metadata.json", ".env.example", "config", "audit", "logs", "ca/agent"} {
		_ = filepath.WalkDir(filepath.Join(b.dir, kind), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Error(err)
				}
				search(t, path, bytes.NewReader(data), secrets)
			}
			return nil
		})
	}
	search(t, "the launcher's output", strings.NewReader(b.Stderr()), secrets)
}

// TestTokensAreInNoArgumentAndNoOtherEnvironment looks at every process of the
// host; arguments are watched all through the suite.
func TestTokensAreInNoArgumentAndNoOtherEnvironment(t *testing.T) {
	w, b := inBottle(t)
	if err := w.argv.verdict(); err != nil {
		t.Error(err)
	}
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	looked := 0
	for _, file := range environs {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // gone, or another user's
		}
		looked++
		if !bytes.Contains(data, []byte(w.token)) {
			continue
		}
		// The operator exported it to the launcher; nobody else has it.
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))); pid != b.PID() {
			argv, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			t.Errorf("process %d (%q) has the token in its environment", pid, argv)
		}
	}
	if looked == 0 {
		t.Error("no environment could be read, so nothing was proved")
	}
}

// TestTokenFilesArePrivate looks at where the tokens are.
func TestTokenFilesArePrivate(t *testing.T) {
	w, b := inBottle(t)
	for _, dir := range tokenDirs(b.id) {
		data, err := os.ReadFile(filepath.Join(dir, "E2E_TOKEN"))
		if err != nil {
			continue
		}
		fi, _ := os.Stat(filepath.Join(dir, "E2E_TOKEN"))
		parent, _ := os.Stat(dir)
		if string(data) != w.token || fi.Mode().Perm() != 0o400 || parent.Mode().Perm() != 0o700 {
			t.Errorf("the token file has mode %v in a directory of mode %v, and %d bytes", fi.Mode(), parent.Mode(), len(data))
		}
		return
	}
	t.Error("the token files are not below a tmpfs of the operator's")
}

// TestEnvironmentOfTheAgent: what the manifest says arrives as it is, and the
// proxies and certificates are the bottle's.
func TestEnvironmentOfTheAgent(t *testing.T) {
	_, b := inBottle(t)
	env := b.shell(t, "env")
	for _, line := range []string{
		"TZ=UTC", "HOST_VALUE=a value $of 'the host'", "HTTPS_PROXY=http://egress:9099", "https_proxy=http://egress:9099",
		"HTTP_PROXY=http://egress:9099", "http_proxy=http://egress:9099", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
		"NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt", "GIT_SSL_CAINFO=/etc/ssl/certs/ca-certificates.crt",
		"E2E_TOKEN=bottle-placeholder-E2E_TOKEN",
	} {
		if !strings.Contains("\n"+env, "\n"+line+"\n") {
			t.Errorf("the agent's environment has no %s", line)
		}
	}
	if strings.Contains(env, "BOTTLE_HOME") {
		t.Errorf("the operator's environment reached the agent:\n%s", env)
	}
}
