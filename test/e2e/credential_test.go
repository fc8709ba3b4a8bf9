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

	"github.com/bottlesuite/bottle/internal/policy"
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

// TestTheAgentsOwnCredentialIsRefused brings credentials of the agent's own to
// hosts whose credential the bottle provides, and placeholders to other places
// than theirs.
func TestTheAgentsOwnCredentialIsRefused(t *testing.T) {
	w, b := inBottle(t)
	own := policy.ReasonAgentCredential
	misplaced := policy.ReasonPlaceholderMisplaced
	body := `{"key": "bottle-placeholder-E2E_TOKEN"}`
	withBody := w.request("open", "POST", "/v1/upload", "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	withBody.Send = append(withBody.Send, body...)
	refused(t, w, b, []refusal{
		{"bearer", w.request("api", "GET", "/v1/hello", "Authorization: Bearer agents-own"), own},
		{"basic", w.request("basic", "GET", "/v1/hello", "Authorization: Basic YWdlbnRzOm93bg=="), own},
		{"header", w.request("key", "GET", "/v1/hello", "X-Api-Key: agents-own"), own},
		{"another header", w.request("api", "GET", "/v1/hello", "X-Api-Key: agents-own"), own},
		{"query", w.request("api", "GET", "/v1/hello?access_token=agents-own"), own},
		{"placeholder of another token", w.request("api", "GET", "/v1/hello", "Authorization: Bearer bottle-placeholder-E2E_KEY"), misplaced},
		{"placeholder in another field", w.request("key", "GET", "/v1/hello", "Authorization: Bearer bottle-placeholder-E2E_KEY"), misplaced},
		{"placeholder for another host", w.request("open", "GET", "/v1/hello", "Authorization: Bearer bottle-placeholder-E2E_TOKEN"), misplaced},
		{"placeholder in the query", w.request("open", "GET", "/v1/hello?q=bottle-placeholder-E2E_TOKEN"), misplaced},
		{"placeholder in the path", w.request("open", "GET", "/v1/bottle-placeholder-E2E_TOKEN"), misplaced},
		{"placeholder in the body", withBody, misplaced},
	})
}

// TestWhatTheAgentBringsStaysBehind sends the placeholder from the agent's
// environment to the route that it belongs to, and credentials of the agent's own
// to a host that nobody gave the bottle a credential for.
func TestWhatTheAgentBringsStaysBehind(t *testing.T) {
	w, b := inBottle(t)
	for site, tc := range map[string]struct {
		sent     string
		injected http.Header
	}{
		"api":  {`-H "Authorization: Bearer $E2E_TOKEN"`, http.Header{"Authorization": {"Bearer " + w.token}}},
		"key":  {`-H "X-Api-Key: $E2E_KEY"`, http.Header{"X-Api-Key": {w.keys["E2E_KEY"]}}},
		"open": {`-u agents-own:agents-own -H 'X-Api-Key: agents-own' -H 'X-Auth-Token: agents-own' -H 'Private-Token: agents-own'`, nil},
	} {
		t.Run(site, func(t *testing.T) {
			before := w.upstream.Mark()
			b.shell(t, `curl -sS --fail -o /dev/null -H 'Proxy-Authorization: agents-own' -H 'Bottle-Relay: agents-own' `+tc.sent+" "+w.url(site, "/v1/hello"))
			r := sawOne(t, w.upstream, before)
			if r.Contains("agents-own") || r.Contains(base64.StdEncoding.EncodeToString([]byte("agents-own:agents-own"))) || r.Contains("placeholder") {
				t.Errorf("what the agent brought reached the upstream: %v", r.Header)
			}
			for _, field := range []string{"Authorization", "X-Api-Key"} {
				if !slices.Equal(r.Header[field], tc.injected[field]) {
					t.Errorf("the upstream saw %d values of %s, want %d", len(r.Header[field]), field, len(tc.injected[field]))
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
	if onMachines() {
		return // what it writes is on a disk of its own, which the engine does not know
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
