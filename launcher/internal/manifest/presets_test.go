package manifest

import (
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/launcher/internal/preset"
)

func parsed(t *testing.T, front string) *Bottle {
	t.Helper()
	b, err := ParseBottle("b", "b.md", []byte("---\n"+front+"\n---\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTake(t *testing.T) {
	b := parsed(t, "env: {GOPROXY: mine}\negress:\n  presets: [npm, go]\n  routes:\n    - host: npm.corp.example\n      auth: {scheme: Bearer, token_ref: NPM_KEY}\n")
	npm := &preset.Preset{Name: "npm", Env: map[string]string{"NPM_CONFIG_REGISTRY": "https://npm.corp.example/"}, Sites: []preset.Site{
		{Host: "npm.corp.example", Source: "npm's registry", EncodedSlash: true, Credential: true, Private: "10.1.2.3"},
		{Host: "public.example:8443", Path: "/x", Source: "npm's @x:registry"},
	}, Notes: []string{"something was left out"}}
	golang := &preset.Preset{Name: "go", Env: map[string]string{"GOPROXY": "https://go.example"}, Sites: []preset.Site{{Host: "go.example", Source: "GOPROXY"}}}
	for i, p := range []*preset.Preset{npm, golang} {
		if err := b.Take(i, p); err != nil {
			t.Fatal(err)
		}
	}
	var hosts []string
	for i, r := range b.Routes {
		name, _ := b.PresetOf(i)
		hosts = append(hosts, name+" "+r.Host)
	}
	if want := []string{" npm.corp.example", "npm npm.corp.example", "npm public.example:8443", "go go.example"}; !slices.Equal(hosts, want) {
		t.Errorf("routes: %q", hosts)
	}
	if !slices.Equal(b.Pipelock.AllowPrivate, []string{"npm.corp.example"}) {
		t.Errorf("allow_private: %q", b.Pipelock.AllowPrivate)
	}
	if got := strings.Join(b.Notes(), "\n"); got != "npm: npm.corp.example is 10.1.2.3 here, so pipelockd may dial it at an address that is not public\nnpm: something was left out" {
		t.Errorf("notes:\n%s", got)
	}
	env, err := b.ResolveEnv(func(string) (string, bool) { return "", false })
	if err != nil || env["GOPROXY"] != "mine" || env["NPM_CONFIG_REGISTRY"] != "https://npm.corp.example/" {
		t.Errorf("env: %v, %v", env, err)
	}
}

func TestTakeRefuses(t *testing.T) {
	site := func(s preset.Site) *preset.Preset { return &preset.Preset{Name: "npm", Sites: []preset.Site{s}} }
	for name, c := range map[string]struct {
		routes string
		p      *preset.Preset
		want   string
	}{
		"a credential": {"[]", site(preset.Site{Host: "a.example", Source: "npm's registry", Credential: true}),
			"b.md:2:20: npm's registry holds a user name or password for a.example"},
		"a credential beside a route without one": {"[{host: a.example}]", site(preset.Site{Host: "a.example", Source: "npm's registry", Credential: true}),
			"auth: {scheme: Basic, token_ref: NAME}"},
		"a host below a suffix": {"[{host: '*.corp.example:8443'}]", site(preset.Site{Host: "a.corp.example:8443"}),
			"lies below your route for *.corp.example:8443"},
		"a path that no request has": {"[]", site(preset.Site{Host: "a.example", Path: "/a//b"}), "can never match"},
	} {
		t.Run(name, func(t *testing.T) {
			b := parsed(t, "egress: {presets: [npm], routes: "+c.routes+"}")
			before := len(b.Routes)
			if err := b.Take(0, c.p); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want an error with %q, got %v", c.want, err)
			}
			if len(b.Routes) != before || len(b.Pipelock.AllowPrivate) > 0 || len(b.Taken) > 0 {
				t.Error("something was added all the same")
			}
		})
	}
	b := parsed(t, "egress: {presets: [npm], routes: [{host: '*.corp.example'}, {host: a.corp.example}]}")
	if err := b.Take(0, site(preset.Site{Host: "a.corp.example"})); err != nil {
		t.Errorf("beside a route for the very host: %v", err)
	}
}
