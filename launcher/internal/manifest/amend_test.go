package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

func TestAmend(t *testing.T) {
	const text = `---
# why this bottle is
supervise: true
egress:
  routes:
    - host: api.example.com # the API
      matches: [{path: {prefix: /v1/}, methods: [GET]}]
---

# dev
The body stays --- as it is.
`
	route := wire.Grant{Route: &wire.Route{Host: "new.example.com", Matches: []wire.Match{{Methods: []string{"POST"}}}}}
	out, err := Amend("dev", "dev.md", []byte(text), route, "")
	if err != nil {
		t.Fatal(err)
	}
	if out, err = Amend("dev", "dev.md", out, wire.Grant{Host: "dial.example.com"}, ""); err != nil {
		t.Fatal(err)
	}
	b, err := ParseBottle("dev", "dev.md", out, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Routes) != 2 || b.Routes[1].Host != "new.example.com" || b.Pipelock.Allow[0] != "dial.example.com" || !b.Supervise {
		t.Errorf("%+v", b)
	}
	for _, want := range []string{"# why this bottle is", "# the API", "\n# dev\nThe body stays --- as it is.\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is gone from\n%s", want, out)
		}
	}
	if _, err := Amend("dev", "dev.md", []byte("---\negress: {routes: x}\n---\n"), route, ""); err == nil {
		t.Error("routes that are no list were added to")
	}
}

// A child's route for a host stands instead of its parents', and its list of
// hosts instead of theirs; an approval takes nothing away by that.
func TestAmendAddsOnly(t *testing.T) {
	files := map[string]string{
		"home/agents/a.md": "---\nbottle: child\n---\n",
		"home/bottles/base.md": `---
egress:
  routes:
    - {host: api.example.com, matches: [{path: {prefix: /old}}]}
    - {host: "*.wide.example.com", matches: [{methods: [GET]}]}
    - {host: other.example.com}
pipelock: {allow: [one.example.com]}
---
`,
		"home/bottles/child.md": "---\nextends: [base] # the usual\npipelock: {seed_phrase_detection: true}\n---\nBody.\n",
	}
	s := place(t, files)
	for _, g := range []wire.Grant{
		{Route: &wire.Route{Host: "API.example.com:443", Matches: []wire.Match{{Methods: []string{"PUT"}}}}},
		{Route: &wire.Route{Host: "api.example.com", Matches: []wire.Match{{Methods: []string{"PATCH"}}}}},
		{Route: &wire.Route{Host: "x.wide.example.com", Matches: []wire.Match{{Methods: []string{"POST"}}}}},
		{Host: "two.example.com"}, {Host: "three.example.com"},
	} {
		if err := s.AmendFile("child", g); err != nil {
			t.Fatal(err)
		}
	}
	l, err := s.Load("a")
	if err != nil {
		t.Fatal(err)
	}
	table, err := route.Compile(l.Bottle.Routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, host, path string }{
		{"GET", "api.example.com", "/old"}, {"PUT", "api.example.com", "/"}, {"PATCH", "api.example.com", "/"},
		{"GET", "x.wide.example.com", "/"}, {"POST", "x.wide.example.com", "/"}, {"GET", "y.wide.example.com", "/"}, {"GET", "other.example.com", "/"},
	} {
		if res := table.Match(c.method, c.host, "443", c.path, nil); res.Reason != "" {
			t.Errorf("%s %s%s: %s", c.method, c.host, c.path, res.Reason)
		}
	}
	if len(l.Bottle.Routes) != 7 {
		t.Errorf("routes stand more than once: %+v", l.Bottle.Routes)
	}
	if got := strings.Join(l.Bottle.Pipelock.Allow, " "); got != "one.example.com two.example.com three.example.com" {
		t.Errorf("pipelock.allow is %s", got)
	}
	text, err := os.ReadFile(filepath.Join(s.Home.Bottles(), "child.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# the usual", "# from base.md", "# what a wildcard allowed", "---\nBody.\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if base, err := os.ReadFile(filepath.Join(s.Home.Bottles(), "base.md")); err != nil || string(base) != files["home/bottles/base.md"] {
		t.Errorf("the parent changed: %v\n%s", err, base)
	}
}
