package bundle

import (
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/certs"
	"github.com/bottlesuite/bottle/internal/relay"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

func spec(t *testing.T, front string) *Spec {
	t.Helper()
	b, err := manifest.ParseBottle("dev", "dev.md", []byte("---\n"+front+"\n---\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKeys("demo-abcde", b)
	if err != nil {
		t.Fatal(err)
	}
	return &Spec{
		Identity: "demo-abcde", Agent: &manifest.Agent{Name: "demo", Bottle: "dev", Prompt: "Hi.\n"}, Bottle: b,
		Env: map[string]string{}, Block: netip.MustParsePrefix("10.213.1.0/27"), Keys: k, Trust: &pki.Trust{},
		UID: 65532, GID: 65532,
	}
}

const withRoutes = `
egress:
  routes:
    - host: api.example.com
      auth: {scheme: header, header: x-api-key, token_ref: KEY}
    - {host: "*.cdn.example.net", websocket: true}
pipelock: {allow: [extra.example], hosts: {api.example.com: 10.1.2.3}, allow_private: [api.example.com]}`

// write puts a bundle into a directory, and its container paths with it.
func write(t *testing.T, s *Spec) string {
	t.Helper()
	if os.Getuid() != 0 {
		s.UID, s.GID = os.Getuid(), os.Getgid()
	}
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 2 { // a second time it replaces
		if err := s.Write(dir, files); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestConfigsAreWhatTheDaemonsRead(t *testing.T) {
	dir := write(t, spec(t, withRoutes))
	var e wire.Egressd
	if err := wire.LoadFile(filepath.Join(dir, "config/egressd.yaml"), &e); err != nil {
		t.Fatal(err)
	}
	if e.Version != wire.Version || e.Bottle != "demo-abcde" || e.DNS.Names["egress"] != "10.213.1.2" || len(e.DNS.Names) != 1 {
		t.Errorf("egressd: %+v", e)
	}
	if len(e.Routes) != 2 || e.Routes[0].Auth.Header != "x-api-key" || e.Routes[0].Auth.TokenRef != "KEY" {
		t.Errorf("routes: %+v", e.Routes)
	}
	var p wire.Pipelockd
	if err := wire.LoadFile(filepath.Join(dir, "config/pipelockd.yaml"), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Allow) != 3 || p.Allow[1] != (wire.AllowHost{Host: "*.cdn.example.net", WebSocket: true}) || p.Allow[2].Host != "extra.example" {
		t.Errorf("allow: %+v", p.Allow)
	}
	if p.Hosts["api.example.com"] != "10.1.2.3" || p.AllowPrivate[0] != "api.example.com" || p.DNS != nil || p.UpstreamCA != nil {
		t.Errorf("pipelockd: %+v", p)
	}
}

// The daemons' own loaders take the certificates, and the agent's root verifies
// what egressd mints.
func TestCertificatesWork(t *testing.T) {
	dir := write(t, spec(t, withRoutes))
	for proxy, host := range map[string]string{"egress": "api.example.com", "pipelock": "extra.example"} {
		a, err := certs.LoadAuthority(filepath.Join(dir, "ca", proxy, "cert.pem"), filepath.Join(dir, "ca", proxy, "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := a.Leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		root := map[string]string{"egress": "ca/agent/ca-certificates.crt", "pipelock": "ca/egress/upstream.pem"}[proxy]
		roots, err := certs.LoadPool(filepath.Join(dir, root))
		if err != nil {
			t.Fatal(err)
		}
		inter := x509.NewCertPool()
		for _, der := range leaf.Certificate[1:] {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			inter.AddCert(c)
		}
		c, err := x509.ParseCertificate(leaf.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: inter}); err != nil {
			t.Errorf("%s: %v", proxy, err)
		}
		if _, err := relay.LoadKey(filepath.Join(dir, "ca", proxy, "relay.key")); err != nil {
			t.Error(err)
		}
	}
}

func TestAgentSeesOneRootAndNoKey(t *testing.T) {
	s := spec(t, withRoutes)
	dir := write(t, s)
	files, err := filepath.Glob(filepath.Join(dir, "ca/agent/*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		block, rest := pem.Decode(data)
		if block == nil || len(rest) != 0 || block.Type != "CERTIFICATE" || string(block.Bytes) != string(s.Keys.Egress.Root.Raw) {
			t.Errorf("%s holds something else than the egress root", f)
		}
	}
}

func TestNoRoutes(t *testing.T) {
	s := spec(t, "pipelock: {allow: [a.example]}")
	dir := write(t, s)
	for _, gone := range []string{"config/egressd.yaml", "ca/egress", "audit/egress", "ca/pipelock/relay.key"} {
		if _, err := os.Stat(filepath.Join(dir, gone)); err == nil {
			t.Errorf("%s is there without routes", gone)
		}
	}
	var p wire.Pipelockd
	if err := wire.LoadFile(filepath.Join(dir, "config/pipelockd.yaml"), &p); err != nil {
		t.Fatal(err)
	}
	if p.DNS == nil || p.DNS.Names["pipelock"] != "10.213.1.2" || p.RelayKey != "" {
		t.Errorf("pipelockd: %+v", p)
	}
	agent, err := os.ReadFile(filepath.Join(dir, "ca/agent/ca-certificates.crt"))
	if err != nil || string(agent) != string(pki.CertPEM(s.Keys.Pipelock.Root)) {
		t.Errorf("the agent trusts something else than the pipelock root: %v", err)
	}
}

func TestRunscAsksItsProxyForNames(t *testing.T) {
	s := spec(t, withRoutes)
	s.Runtime = "runsc"
	data, err := os.ReadFile(filepath.Join(write(t, s), "config/resolv.conf"))
	if err != nil || !strings.HasPrefix(string(data), "nameserver 10.213.1.2\n") {
		t.Errorf("%q, %v", data, err)
	}
}

func TestRemoveKeys(t *testing.T) {
	s := spec(t, withRoutes)
	dir := write(t, s)
	roots, err := s.Keys.RootFiles()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(dir, roots); err != nil {
		t.Fatal(err)
	}
	if err := RemoveKeys(dir); err != nil {
		t.Fatal(err)
	}
	if err := RemoveKeys(dir); err != nil {
		t.Errorf("a second time: %v", err)
	}
	err = filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err != nil || fi.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), "PRIVATE KEY") || strings.HasSuffix(path, ".key") {
			t.Errorf("%s is still there", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSidecarUser(t *testing.T) {
	if u, g := SidecarUser(0, 0); u != 65532 || g != 65532 {
		t.Errorf("root's sidecars run as %d:%d", u, g)
	}
	if u, g := SidecarUser(1000, 100); u != 1000 || g != 100 {
		t.Errorf("got %d:%d", u, g)
	}
}

// TestProvidersFiles: what the agent's program finds in its guest is in the bundle,
// where the agent's user can read it.
func TestProvidersFiles(t *testing.T) {
	s := spec(t, "agent_provider: {template: claude}\nsupervise: true\n"+strings.TrimPrefix(withRoutes, "\n"))
	dir := write(t, s)
	for file, want := range map[string]string{
		"clients/claude-code/CLAUDE.md": "Hi.\n", "clients/home/.claude.json": "http://supervise:9100/", "compose.yaml": "image: bottle/agent-claude:dev",
	} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s: %v: %s", file, err, data)
		}
	}
	for _, file := range []string{"clients/home", "clients/home/.claude"} {
		if fi, err := os.Stat(filepath.Join(dir, file)); err != nil || fi.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", file, fi.Mode(), err)
		}
	}
}

func TestSkillsAndGitUser(t *testing.T) {
	s := spec(t, withRoutes)
	s.Agent.GitUser = &manifest.GitUser{Name: `An "A\gent" # one`, Email: "agent@example.com"}
	s.Agent.Skills = []manifest.Skill{{Name: "review", Files: []manifest.SkillFile{
		{Path: "SKILL.md", Data: []byte("read\n")}, {Path: "bin/run", Executable: true, Data: []byte("#!/bin/sh\n")},
	}}}
	dir := write(t, s)
	for path, want := range map[string]string{"skills": "drwxr-xr-x", "skills/review/bin": "drwxr-xr-x", "skills/review/SKILL.md": "-rw-r--r--", "skills/review/bin/run": "-rwxr-xr-x", "config/gitconfig": "-rw-r--r--"} {
		if fi, err := os.Stat(filepath.Join(dir, path)); err != nil || fi.Mode().String() != want {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	for key, want := range map[string]string{"user.name": s.Agent.GitUser.Name, "user.email": "agent@example.com"} {
		out, err := exec.Command("git", "config", "--file", filepath.Join(dir, "config/gitconfig"), key).Output()
		if err != nil || string(out) != want+"\n" {
			t.Errorf("git reads %s as %q, %v", key, out, err)
		}
	}
	s.Agent.Skills = nil // as a later launch may have it
	files, err := s.Files()
	if err == nil {
		err = s.Write(dir, files)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "skills")); err != nil || len(left) != 0 {
		t.Errorf("left of the launch before: %v, %v", left, err)
	}
}
