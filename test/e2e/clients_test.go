package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// clientsBottle is for real clients: packages by presets, from where this
// machine's own clients get them, and a git host with a credential, so that all
// that comes back is scrubbed.
const clientsBottle = `---
egress:
  presets: [<presets>]
  routes:
    - host: {git}
      matches: [{path: {prefix: /git/}, methods: [GET, POST]}]
      auth: {scheme: Basic, token_ref: E2E_BASIC}
pipelock:
  hosts: {git.demo.example: <upstream>, pip.demo.example: <upstream>}
  allow_private: [git.demo.example, pip.demo.example]
  extra_ca: <ca>
resources: {cpus: 2, memory: 2GiB, pids: 512}
---
`

// clientHandlers are what the upstream serves to real clients.
func clientHandlers() map[string]http.Handler {
	git := sync.OnceValues(func() (http.Handler, error) { return largeServer("/git/") })
	return map[string]http.Handler{"/pip/": wheels(), "/git/": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, err := git()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h.ServeHTTP(w, r)
	})}
}

// TestRealClients has the clients that people use do what they do, in a bottle.
func TestRealClients(t *testing.T) {
	w := need(t)
	missing := map[string]string{}
	presets := []string{"pip"}
	for name, have := range map[string]func() error{"npm": haveNPM, "go": haveGo, "apt": haveApt} {
		if err := have(); err != nil {
			missing[name] = err.Error()
		} else {
			presets = append(presets, name)
		}
	}
	home := t.TempDir()
	manifest := strings.ReplaceAll(clientsBottle, "<presets>", strings.Join(presets, ", "))
	if err := w.writeManifest(home, "clients", manifest); err != nil {
		t.Fatal(err)
	}
	b := w.mustStartAs(t, w.operator(home, "PIP_INDEX_URL="+w.url("pip", "/pip/root/simple/")), "clients")
	t.Run("clients", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *world, *bottle){
			"npm": installPackages, "go": downloadModules, "pip": installWheels, "apt": downloadDeb, "git": cloneLarge,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if why := missing[name]; why != "" {
					t.Skip(why)
				}
				test(t, w, b)
			})
		}
	})
	for _, component := range []string{"egressd", "pipelockd"} {
		for _, l := range b.auditOf(t, component) {
			if l.Decision == policy.Deny && l.Event != "dns" {
				t.Errorf("%s denied %s %s%s: %s, %s", component, l.Method, l.Host, l.Path, l.Reason, l.Detail)
			}
		}
	}
}

// reachable says why a URL of the operator's own cannot be used in a test.
func reachable(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("this machine does not reach its own packages: %w", err)
	}
	return resp.Body.Close()
}

func haveNPM() error {
	out, err := exec.Command("npm", "config", "get", "registry").Output()
	if err != nil {
		return fmt.Errorf("npm does not work on this machine: %w", err)
	}
	return reachable(strings.TrimSpace(string(out)))
}

func haveGo() error {
	out, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		return fmt.Errorf("go does not work on this machine: %w", err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), ",")
	return reachable(first)
}

func haveApt() error {
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(SITE)").Output()
	if err != nil || len(out) == 0 {
		return fmt.Errorf("apt has no sources on this machine: %w", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return reachable(first)
}

// installPackages installs a package with a dependency and one of a scope,
// whose name npm sends with an encoded slash.
func installPackages(t *testing.T, _ *world, b *bottle) {
	out := b.shell(t, `set -e; mkdir -p ~/npm; cd ~/npm; npm init -y >/dev/null
		npm install --no-progress is-odd @types/ms >/dev/null
		node -e 'console.log(require("is-odd")(3))'; ls node_modules/@types/ms/index.d.ts`)
	if out != "true\nnode_modules/@types/ms/index.d.ts\n" {
		t.Errorf("got %q", out)
	}
	b.awaitLine(t, "egressd", "the scoped package", func(l audit.Line) bool {
		return l.Decision != policy.Deny && strings.HasSuffix(l.Path, "/@types%2Fms") && l.Status == http.StatusOK
	})
}

// downloadModules downloads a small graph of modules, whose checksums the go
// command verifies, with the go command of this machine.
func downloadModules(t *testing.T, _ *world, b *bottle) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	b.send(t, filepath.Clean(strings.TrimSpace(string(out))), "/tmp/goroot", "bin/go", "VERSION", "go.env")
	got := b.shell(t, `set -e; mkdir -p ~/go-client; cd ~/go-client; export GOROOT=/tmp/goroot GOTOOLCHAIN=local
		printf 'module demo.example/client\ngo 1.20\nrequire rsc.io/quote v1.5.2\n' >go.mod
		/tmp/goroot/bin/go mod download all; wc -l <go.sum; ls -d ~/go/pkg/mod/rsc.io/*@*`)
	lines := strings.Fields(got)
	if len(lines) < 3 || lines[0] == "0" || !strings.HasSuffix(lines[1], "/rsc.io/quote@v1.5.2") || !strings.Contains(lines[2], "/rsc.io/sampler@") {
		t.Errorf("got %q", got)
	}
}

// send copies files of the host into the bottle.
func (b *bottle) send(t *testing.T, from, to string, names ...string) {
	t.Helper()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if r := b.exec(t, "agent", packed.String(), "sh", "-c", "mkdir -p "+to+" && tar -C "+to+" -xf -"); r.Status != 0 {
		t.Fatal(r)
	}
}

// installWheels installs a package and what it needs from an index whose files
// lie beside it.
func installWheels(t *testing.T, w *world, b *bottle) {
	before := w.upstream.Mark()
	out := b.shell(t, `set -e; python3 -m pip install --quiet --target /tmp/wheels demo-top
		PYTHONPATH=/tmp/wheels python3 -c 'import demo_top, demo_leaf; print(demo_top.who, demo_leaf.who)'`)
	if out != "demo-top demo-leaf\n" {
		t.Errorf("got %q", out)
	}
	files := 0
	for _, r := range w.upstream.Since(before) {
		if strings.HasPrefix(r.URI, "/pip/root/files/") {
			files++
		}
	}
	if files != 2 {
		t.Errorf("the upstream served %d wheels, not 2", files)
	}
}

// downloadDeb reads the indexes of the operator's own sources, checks their
// signatures, and downloads a package. It takes root, as apt does anywhere.
func downloadDeb(t *testing.T, _ *world, b *bottle) {
	r := b.exec(t, "root", `set -e; cd "$(mktemp -d)"; apt-get update -q 2>&1 | tail -n 5; apt-get download -q hello >/dev/null
		dpkg-deb --field hello_*.deb Package`)
	if r.Status != 0 || !strings.HasSuffix(r.Stdout, "\nhello\n") || strings.Contains(r.Stdout, "\nE:") || strings.Contains(r.Stdout, "\nW:") {
		t.Errorf("%s", r)
	}
}

// cloneLarge clones a history of 50,000 objects and 100 MiB.
func cloneLarge(t *testing.T, w *world, b *bottle) {
	dir, err := largeRepository()
	if err != nil {
		t.Fatal(err)
	}
	head, err := exec.Command("git", "-C", filepath.Join(dir, "large.git"), "rev-parse", "main").Output()
	if err != nil {
		t.Fatal(err)
	}
	before := w.upstream.Mark()
	out := b.shell(t, `set -e; cd /tmp; git clone --quiet `+w.url("git", "/git/large.git")+` large; cd large
		git rev-parse HEAD; git rev-list --objects --all | wc -l; git status --porcelain | wc -l; du -sm .git | cut -f 1`)
	var objects, changed, mib int
	var got string
	if _, err := fmt.Sscan(out, &got, &objects, &changed, &mib); err != nil || got != strings.TrimSpace(string(head)) || objects != largeObjects || changed != 0 || mib < 100 {
		t.Errorf("the clone has %q, want the commit %s of %d objects and more than 100 MiB", out, head, largeObjects)
	}
	for _, r := range w.upstream.Since(before) {
		if strings.HasPrefix(r.URI, "/git/") && !strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") {
			t.Errorf("%s %s came without the credential", r.Method, r.URI)
		}
	}
}
