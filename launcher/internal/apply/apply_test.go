package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

var bin string // where the sidecars' binaries are

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "bottle-apply-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(bin)
		for _, name := range []string{"egressd", "pipelockd", "superviserd"} {
			cmd := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(bin, name), ".")
			cmd.Dir = filepath.Join("..", "..", "..", name)
			if out, err := cmd.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%s was not built: %v\n%s", name, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

var daemons = map[string]string{"pipelock": "pipelockd", "egress": "egressd", "supervise": "superviserd"}

// processes are the real sidecars, as processes instead of containers.
type processes struct {
	dir string
	cmd map[string]*exec.Cmd
}

func (p *processes) run(service string, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(bin, daemons[service]), append([]string{"--config", filepath.Join(p.dir, "config", daemons[service]+".yaml")}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return out, err
}

func (p *processes) Validate(_ context.Context, service, file string) error {
	_, err := p.run(service, "validate", filepath.Join(p.dir, "config", file))
	return err
}

func (p *processes) Reload(_ context.Context, service string) error {
	return p.cmd[service].Process.Signal(syscall.SIGHUP)
}

func (p *processes) Status(_ context.Context, service string) (st wire.Status, err error) {
	out, err := p.run(service, "status")
	if err == nil {
		err = json.Unmarshal(out, &st)
	}
	return st, err
}

const manifestText = `---
supervise: true
egress:
  routes:
    - host: api.example.com
      matches: [{path: {prefix: /v1/}, methods: [GET]}]
---
`

// standing is a bottle whose sidecars run.
func standing(t *testing.T) (*Desk, *processes) {
	t.Helper()
	b, err := manifest.ParseBottle("dev", "dev.md", []byte(manifestText), "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bundle.NewKeys("demo-abcde", b)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &bundle.Spec{Identity: "demo-abcde", Agent: &manifest.Agent{Name: "demo", Bottle: "dev"}, Bottle: b,
		Block: netip.MustParsePrefix("10.213.1.0/27"), Keys: keys, Trust: &pki.Trust{}}
	s.UID, s.GID = os.Getuid(), os.Getgid()
	if s.UID == 0 { // sidecars never run as root in a bottle; here they do, as the test does
		s.UID, s.GID = 65532, 65532
	}
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	roots, err := keys.RootFiles()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(dir, append(files, roots...)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "hop"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := &processes{dir: dir, cmd: map[string]*exec.Cmd{}}
	for _, service := range []string{"pipelock", "egress", "supervise"} {
		p.start(t, service)
	}
	return &Desk{State: bottle.State{Identity: "demo-abcde", Dir: dir}, Sidecars: p, Patience: 3 * time.Second}, p
}

// start runs a sidecar on its rendered configuration, with the container's places
// and ports exchanged for the test's own.
func (p *processes) start(t *testing.T, service string) {
	t.Helper()
	file := filepath.Join(p.dir, "config", daemons[service]+".yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pairs := []string{
		"/run/bottle/ca/", filepath.Join(p.dir, "ca", service) + "/", "/var/log/bottle/", filepath.Join(p.dir, "audit", service) + "/",
		"/run/bottle/hop/", filepath.Join(p.dir, "hop") + "/", "/run/bottle/proposals", filepath.Join(p.dir, "queue/proposals"), "/run/bottle/decisions", filepath.Join(p.dir, "queue/decisions"),
	}
	for _, port := range []string{`:9099`, `:8888`, `:9100`, `127.0.0.1:9901`, `127.0.0.1:9902`, `127.0.0.1:9904`, `:53`} {
		pairs = append(pairs, "proxy: "+port+"\n", "proxy: "+address(t)+"\n", "admin: "+port+"\n", "admin: "+address(t)+"\n",
			"mcp: "+port+"\n", "mcp: "+address(t)+"\n", "listen: "+port+"\n", "listen: "+address(t)+"\n")
	}
	text := strings.NewReplacer(pairs...).Replace(strings.ReplaceAll(string(data), `"`, ""))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, daemons[service]), "--config", file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.cmd[service] = cmd
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, err := p.run(service, "healthcheck")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v\n%s", service, err, text)
		}
	}
}

func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// allows asks both proxies as the operator would.
func (p *processes) allows(method, url string) bool {
	_, egress := p.run("egress", "check", method, url)
	_, pipelock := p.run("pipelock", "check", method, url)
	return egress == nil && pipelock == nil
}

func grant(host string, expires time.Time) wire.Grant {
	g := wire.Grant{Proposal: "aaaaaaaaaaaaaaaa", GrantedAt: wire.At(time.Now()), Scope: wire.ScopeFor,
		Route: &wire.Route{Host: host, Matches: []wire.Match{{Path: &wire.PathMatch{Exact: "/x"}, Methods: []string{"POST"}}}}}
	if !expires.IsZero() {
		g.Expires = wire.At(expires)
	}
	return g
}

func put(t *testing.T, d *Desk, grants ...wire.Grant) ([]Applied, error) {
	t.Helper()
	release, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	return d.Put(t.Context(), grants)
}

func TestPutAndSweep(t *testing.T) {
	d, p := standing(t)
	const url = "https://new.example.com/x"
	if p.allows("POST", url) {
		t.Fatal("allowed before")
	}
	done, err := put(t, d, grant("new.example.com", time.Now().Add(time.Hour)))
	if err != nil || len(done) != 3 {
		t.Fatalf("%v %v", done, err)
	}
	if !p.allows("POST", url) || p.allows("GET", url) || !p.allows("GET", "https://api.example.com/v1/x") {
		t.Error("the change is not what was granted")
	}
	certs, _ := filepath.Glob(filepath.Join(p.dir, "ca", "egress", "*.pem"))
	if len(certs) != 3 || strings.Contains(strings.Join(certs, " "), "/cert.pem") { // pair and upstream.pem
		t.Errorf("ca/egress holds %v", certs)
	}
	for _, a := range done { // what the record names can be read back
		for _, sum := range []string{a.Before, a.After} {
			if data, err := os.ReadFile(filepath.Join(p.dir, "policy/history", sum+".yaml")); err != nil || hash(data) != sum {
				t.Errorf("%s %s is not kept: %v", a.Service, sum, err)
			}
		}
	}
	if leftovers, _ := filepath.Glob(filepath.Join(p.dir, "config", "*.next")); len(leftovers) > 0 {
		t.Errorf("left over: %v", leftovers)
	}

	d.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	ended, done, err := d.Sweep(t.Context())
	if err != nil || len(ended) != 1 || len(done) != 3 {
		t.Fatalf("%v %v %v", ended, done, err)
	}
	if p.allows("POST", url) || !p.allows("GET", "https://api.example.com/v1/x") {
		t.Error("the grant did not end, or took more along")
	}
	if again, _, err := d.Sweep(t.Context()); err != nil || len(again) > 0 {
		t.Errorf("a second sweep: %v %v", again, err)
	}
}

// A grant ends by itself, in both proxies, although nobody sweeps.
func TestGrantEndsWithoutALauncher(t *testing.T) {
	d, p := standing(t)
	if _, err := put(t, d, grant("new.example.com", time.Now().Add(12*time.Second))); err != nil {
		t.Fatal(err)
	}
	if !p.allows("POST", "https://new.example.com/x") {
		t.Fatal("not allowed in time")
	}
	for deadline := time.Now().Add(60 * time.Second); p.allows("POST", "https://new.example.com/x"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the grant does not end")
		}
	}
	for _, service := range []string{"egress", "pipelock"} {
		if _, err := p.run(service, "check", "POST", "https://new.example.com/x"); err == nil {
			t.Errorf("%s still allows it", service)
		}
	}
}

func TestRollbackWhenASidecarIsDead(t *testing.T) {
	d, p := standing(t)
	read := func() string {
		var all string
		for _, f := range []string{"config/pipelockd.yaml", "config/egressd.yaml", "config/superviserd.yaml", bundle.GrantsFile} {
			data, err := os.ReadFile(filepath.Join(p.dir, f))
			if err != nil {
				t.Fatal(err)
			}
			all += string(data)
		}
		return all
	}
	before := read()
	_ = p.cmd["egress"].Process.Kill()
	_ = p.cmd["egress"].Wait()
	if _, err := put(t, d, grant("new.example.com", time.Time{})); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Fatal(err)
	}
	if read() != before {
		t.Error("a file was not put back")
	}
	if _, err := p.run("pipelock", "check", "GET", "https://new.example.com/x"); err == nil {
		t.Error("pipelockd kept its half of the change")
	}
	st, err := p.Status(t.Context(), "pipelock")
	if data, _ := os.ReadFile(filepath.Join(p.dir, "config/pipelockd.yaml")); err != nil || st.ConfigSHA256 != hash(data) {
		t.Errorf("pipelockd runs on something else than its file: %+v %v", st, err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "ca", "pipelock", "key*.pem")); len(left) != 1 {
		t.Errorf("keys are left: %v", left)
	}
}

// A configuration that the sidecar itself refuses never gets into place.
func TestRefusedByTheSidecar(t *testing.T) {
	d, p := standing(t)
	g := grant("new.example.com", time.Time{})
	g.Route.Auth = &wire.Auth{Scheme: "Bearer", TokenRef: "NOBODYS"} // valid, but there is no token
	if err := os.WriteFile(filepath.Join(p.dir, bundle.BaseFile), []byte("egress: {routes: [{host: api.example.com}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, d, g); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Fatal(err)
	}
	if p.allows("POST", "https://new.example.com/x") || !p.allows("GET", "https://api.example.com/v1/x") {
		t.Error("something changed after all")
	}
}
