package explain

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

const routed = `---
egress:
  routes:
    - host: api.example.com
      matches:
        - {path: {prefix: /v1/}, methods: [GET]}
        - {path: {exact: /stage}, headers: {x-env: staging}}
      auth: {scheme: header, header: x-api-key, token_ref: API_KEY}
    - {host: "*.cdn.example.com:8443", websocket: true}
    - {host: "plain.example.com:80"}
    - {host: git.corp.example}
    - {host: meta.corp.example}
    - {host: npm.example.com, matches: [{path: {prefix: /}}]}
pipelock:
  hosts: {git.corp.example: 10.1.2.3, meta.corp.example: 169.254.169.254}
  allow_private: [git.corp.example]
---
`

const unrouted = "---\npipelock: {allow: [a.example, 'b.example:80']}\n---\n"

func parse(t *testing.T, text string) *manifest.Bottle {
	t.Helper()
	b, err := manifest.ParseBottle("dev", "dev.md", []byte(text), "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type requestCase struct {
	text, method, url string
	header            http.Header
	want              policy.Reason
	by, rule, where   string
}

var requests = []requestCase{
	{routed, "GET", "https://api.example.com/v1/x?y=z", nil, "", "egressd", "egress.routes[0].matches[0]", "dev.md:6:11"},
	{routed, "GET", "https://API.example.com:443/v1/x", nil, "", "egressd", "egress.routes[0].matches[0]", "dev.md:6:11"},
	{routed, "POST", "https://api.example.com/v1/x", nil, policy.ReasonMethodNotAllowed, "egressd", "egress.routes[0].matches[0]", "dev.md:6:11"},
	{routed, "GET", "https://api.example.com/v2", nil, policy.ReasonPathNotAllowed, "egressd", "egress.routes[0]", "dev.md:4:7"},
	{routed, "GET", "https://api.example.com/stage", nil, policy.ReasonPathNotAllowed, "egressd", "egress.routes[0]", "dev.md:4:7"},
	{routed, "GET", "https://api.example.com/stage", http.Header{"X-Env": {"staging"}}, "", "egressd", "egress.routes[0].matches[1]", "dev.md:7:11"},
	{routed, "GET", "https://api.example.com/v1/x", http.Header{"Authorization": {"Bearer mine-alone-1234"}}, policy.ReasonAgentCredential, "egressd", "egress.routes[0].matches[0]", "dev.md:6:11"},
	{routed, "GET", "https://other.example.com/", nil, policy.ReasonHostNotAllowed, "egressd", "", ""},
	{routed, "GET", "https://10.1.2.3/", nil, policy.ReasonBadAuthority, "egressd", "", ""},
	{routed, "GET", "https://api.example.com/v1/../x", nil, policy.ReasonAmbiguousPath, "egressd", "", ""},
	{routed, "GET", "https://npm.example.com/@a%2fb", nil, policy.ReasonAmbiguousPath, "egressd", "egress.routes[5].matches[0]", "dev.md:13:41"},
	{routed, "GET", "https://x.cdn.example.com:8443/", http.Header{"Upgrade": {"websocket"}, "Connection": {"upgrade"}}, "", "egressd", "egress.routes[1]", "dev.md:9:7"},
	{routed, "GET", "https://npm.example.com/", http.Header{"Upgrade": {"websocket"}}, policy.ReasonUpgrade, "egressd", "egress.routes[5].matches[0]", "dev.md:13:41"},
	{routed, "GET", "http://plain.example.com/", nil, "", "egressd", "egress.routes[2]", "dev.md:10:7"},
	{routed, "GET", "https://git.corp.example/x", nil, "", "egressd", "egress.routes[3]", "dev.md:11:7"},
	{routed, "POST", "https://git.corp.example/x.git/git-receive-pack", nil, policy.ReasonGitPush, "egressd", "", ""},
	{routed, "GET", "https://meta.corp.example/", nil, policy.ReasonAddressForbidden, "pipelockd", "egress.routes[4]", "dev.md:12:7"},
	{unrouted, "GET", "https://a.example/x", nil, "", "pipelockd", "pipelock.allow[0]", "dev.md:2:20"},
	{unrouted, "GET", "http://a.example/x", nil, policy.ReasonHostNotAllowed, "pipelockd", "", ""},
	{unrouted, "GET", "http://b.example/x", nil, "", "pipelockd", "pipelock.allow[1]", "dev.md:2:31"},
	{unrouted, "GET", "https://c.example/x", nil, policy.ReasonHostNotAllowed, "pipelockd", "", ""},
	{unrouted, "POST", "https://a.example/x/git-receive-pack", nil, policy.ReasonGitPush, "pipelockd", "", ""},
	{unrouted, "GET", "https://a.example//x", nil, policy.ReasonAmbiguousPath, "pipelockd", "", ""},
}

func TestBottle(t *testing.T) {
	for _, c := range requests {
		a, err := Bottle(t.Context(), parse(t, c.text), Request{c.method, c.url, c.header}, nil)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.url, err)
			continue
		}
		if a.Reason != c.want || (a.Decision == policy.Allow) != (c.want == "") || a.By != c.by || a.Rule != c.rule || a.Where != c.where {
			t.Errorf("%s %s: %+v", c.method, c.url, a)
		}
	}
}

// What the daemons' own check says of the files that the launcher renders.
func TestTheDaemonsAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the daemons")
	}
	bin := t.TempDir()
	for _, daemon := range []string{"egressd", "pipelockd"} {
		build := exec.Command("go", "build", "-o", filepath.Join(bin, daemon), ".")
		build.Dir = filepath.Join("../../..", daemon)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, c := range requests {
		if c.header != nil || c.want == policy.ReasonAddressForbidden {
			continue // beyond their check
		}
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, rendered(t, c.text, "config/"+c.by+".yaml"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(filepath.Join(bin, c.by), "check", "--config", file, c.method, c.url).Output()
		status := 0
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			status = exit.ExitCode()
		}
		if want := map[bool]int{true: 0, false: 3}[c.want == ""]; status != want || !strings.Contains(string(out), string(c.want)) {
			t.Errorf("%s says of %s %s: status %d, %s", c.by, c.method, c.url, status, out)
		}
	}
}

func rendered(t *testing.T, text, path string) []byte {
	t.Helper()
	b := parse(t, text)
	k, err := bundle.NewKeys("demo-abcde", b)
	if err != nil {
		t.Fatal(err)
	}
	s := bundle.Spec{Identity: "demo-abcde", Agent: &manifest.Agent{Name: "demo", Bottle: "dev"}, Bottle: b, Env: map[string]string{},
		Block: netip.MustParsePrefix("10.213.1.0/27"), Keys: k, Trust: &pki.Trust{}, UID: 65532, GID: 65532}
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Path == path {
			return f.Data
		}
	}
	t.Fatalf("there is no %s", path)
	return nil
}

// What an answer says to write makes the request allowed.
func TestRemedies(t *testing.T) {
	for _, c := range requests {
		b := parse(t, c.text)
		req := Request{c.method, c.url, c.header}
		a, err := Bottle(t.Context(), b, req, nil)
		if err == nil && a.Edit != "" {
			b = parse(t, strings.Replace(c.text, "{host: npm.example.com,", "{host: npm.example.com, "+a.Edit+",", 1))
		} else if err != nil || a.Allow == "" {
			continue
		}
		if strings.HasPrefix(a.Allow, "pipelock") {
			section, entry, _ := strings.Cut(strings.TrimPrefix(a.Allow, "pipelock:\n  "), ": ")
			entry = strings.Trim(entry, "[]\n")
			if section == "allow" {
				b.Pipelock.Allow = append(b.Pipelock.Allow, strings.Trim(entry, `"`))
			} else {
				b.Pipelock.AllowPrivate = append(b.Pipelock.AllowPrivate, entry)
			}
		} else if a.Allow != "" {
			var k struct {
				Egress struct {
					Routes []wire.Route `yaml:"routes"`
				} `yaml:"egress"`
			}
			if err := wire.Decode("remedy", []byte(a.Allow), 1, &k); err != nil {
				t.Fatalf("%v\n%s", err, a.Allow)
			}
			b.Routes = append(b.Routes, k.Egress.Routes...)
		}
		again, err := Bottle(t.Context(), b, req, nil)
		if c.want == policy.ReasonAddressForbidden { // link-local takes more than a name
			continue
		}
		if err != nil || again.Decision != policy.Allow {
			t.Errorf("%s %s with\n%s: %+v, %v", c.method, c.url, a.Allow, again, err)
		}
	}
}

type answers map[string]string

func (a answers) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if s, ok := a[host]; ok {
		return []netip.Addr{netip.MustParseAddr(s)}, nil
	}
	return nil, errors.New("no such host")
}

func TestResolve(t *testing.T) {
	b := parse(t, "---\negress: {routes: [{host: in.example}, {host: out.example}, {host: gone.example}, {host: may.example}]}\npipelock: {allow_private: [may.example]}\n---\n")
	for host, c := range map[string]struct {
		want policy.Reason
		text string
	}{
		"in":   {policy.ReasonAddressForbidden, `"by":"pipelockd"`},
		"out":  {"", `"addresses":["8.8.8.8"]`},
		"gone": {policy.ReasonUpstreamUnreachable, "no such host"},
		"may":  {"", `"any_private":true`},
	} {
		a, err := Bottle(t.Context(), b, Request{Method: "GET", URL: "https://" + host + ".example/"},
			answers{"in.example": "10.0.0.1", "out.example": "8.8.8.8", "may.example": "10.0.0.2"})
		text, _ := json.Marshal(a)
		if err != nil || a.Reason != c.want || !strings.Contains(string(text), c.text) {
			t.Errorf("%s: %s, %v", host, text, err)
		}
	}
}

// A route for a name would hide a wildcard's for it, and one in a child the
// parent's; a remedy takes neither away.
func TestRemediesTakeNothingAway(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base.md")
	if err := os.WriteFile(base, []byte("---\negress: {routes: [{host: a.example, matches: [{methods: [GET]}]}]}\n---\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := manifest.ParseBottle("dev", filepath.Join(dir, "dev.md"), []byte("---\nextends: [base]\negress: {routes: [{host: '*.w.example', matches: [{methods: [GET]}]}]}\n---\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := Bottle(t.Context(), b, Request{Method: "POST", URL: "https://a.example/"}, nil)
	if err != nil || a.File != base {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = Bottle(t.Context(), b, Request{Method: "POST", URL: "https://x.w.example/"}, nil)
	if err != nil || a.File != b.File || strings.Count(a.Allow, "host: x.w.example") != 2 {
		t.Errorf("%+v, %v", a, err)
	}
}
