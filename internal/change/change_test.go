package change

import (
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func prefix(p string, methods ...string) wire.Match {
	return wire.Match{Path: &wire.PathMatch{Prefix: p}, Methods: methods}
}

func exact(p string, methods ...string) wire.Match {
	return wire.Match{Path: &wire.PathMatch{Exact: p}, Methods: methods}
}

// standing is the policy that the tests change.
func standing() Policy {
	return Policy{Egress: true, Routes: []wire.Route{
		{Host: "api.example.com", Matches: []wire.Match{prefix("/v1/", "GET")}, Auth: &wire.Auth{Scheme: "Bearer", TokenRef: "T"}},
		{Host: "*.cdn.example.com", Matches: []wire.Match{prefix("/", "GET")}},
	}, Allow: []wire.AllowHost{{Host: "api.example.com"}, {Host: "*.cdn.example.com"}}}
}

func grant(host string, seconds int, matches ...wire.Match) wire.Grant {
	g := wire.Grant{Route: &wire.Route{Host: host, Matches: matches}}
	if seconds > 0 {
		g.Expires = wire.At(epoch.Add(time.Duration(seconds) * time.Second))
	}
	return g
}

// allowed asks a policy as egressd and pipelockd would.
func allowed(t *testing.T, p Policy, method, host, path string) bool {
	t.Helper()
	for i := range p.Routes { // the table has its own clock
		p.Routes[i].Expires = wire.Instant{}
	}
	table, err := route.Compile(p.Routes)
	if err != nil {
		t.Fatal(err)
	}
	set, err := route.NewHostSet(p.Dialled())
	if err != nil {
		t.Fatal(err)
	}
	_, dialled := set.Find(host, "443")
	return dialled && table.Match(method, host, "443", path, nil).Reason == ""
}

func TestApplyOnlyAdds(t *testing.T) {
	grants := []wire.Grant{
		grant("api.example.com", 0, exact("/v2/jobs", "POST")),
		grant("img.cdn.example.com", 60, exact("/up", "PUT")), // would hide *.cdn.example.com
		grant("*.cdn.example.com", 60, exact("/stat", "HEAD")),
		grant("new.example.com", 60),
		{Host: "dial.example.com"},
	}
	p, err := Apply(standing(), grants, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct{ method, host, path string }{
		{"GET", "api.example.com", "/v1/x"}, {"POST", "api.example.com", "/v2/jobs"},
		{"PUT", "img.cdn.example.com", "/up"}, {"GET", "img.cdn.example.com", "/x"}, {"HEAD", "img.cdn.example.com", "/stat"},
		{"GET", "other.cdn.example.com", "/x"}, {"HEAD", "other.cdn.example.com", "/stat"},
		{"DELETE", "new.example.com", "/"},
	} {
		if !allowed(t, p, q.method, q.host, q.path) {
			t.Errorf("%v is denied by %+v", q, p)
		}
	}
	for _, q := range []struct{ method, host, path string }{
		{"POST", "api.example.com", "/v1/x"}, {"PUT", "other.cdn.example.com", "/up"}, {"GET", "dial.example.com", "/"},
	} {
		if allowed(t, p, q.method, q.host, q.path) {
			t.Errorf("%v is allowed by %+v", q, p)
		}
	}
	if p.Routes[0].Host != "api.example.com" || p.Routes[1].Host != "*.cdn.example.com" {
		t.Error("the manifest's routes no longer stand first, so rules change their names")
	}
}

func TestApplyForgetsWhatHasExpired(t *testing.T) {
	p, err := Apply(standing(), []wire.Grant{grant("new.example.com", 60), {Host: "d.example.com", Expires: wire.At(epoch.Add(time.Minute))}}, epoch.Add(time.Minute))
	if err != nil || len(p.Routes) != 2 || len(p.Allow) != 2 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestAllowKeepsTheLongerLife(t *testing.T) {
	short, long := grant("a.new.example.com", 60), grant("a.new.example.com", 120)
	for _, order := range [][]wire.Grant{{short, long}, {long, short}} {
		p, _ := Apply(standing(), order, epoch)
		if e := p.Allow[2].Expires; len(p.Allow) != 3 || !e.Equal(epoch.Add(2*time.Minute)) {
			t.Errorf("%+v", p.Allow)
		}
	}
	// A wildcard that ends sooner does not swallow a name that ends later.
	p, _ := Apply(standing(), []wire.Grant{grant("*.new.example.com", 60), grant("a.new.example.com", 0)}, epoch)
	if len(p.Allow) != 4 || !p.Allow[3].Expires.IsZero() {
		t.Errorf("%+v", p.Allow)
	}
	// One that lasts as long does.
	p, _ = Apply(standing(), []wire.Grant{grant("*.new.example.com", 60), grant("a.new.example.com", 60)}, epoch)
	if len(p.Allow) != 3 {
		t.Errorf("%+v", p.Allow)
	}
	// Without egressd a route grants nothing.
	p, _ = Apply(Policy{}, []wire.Grant{grant("a.example.com", 0)}, epoch)
	if len(p.Routes)+len(p.Allow) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestDescribe(t *testing.T) {
	for name, tc := range map[string]struct {
		g    wire.Grant
		want []string // "!" marks an alarm
	}{
		"issue's own": {grant("api.example.com", 0, wire.Match{Methods: []string{"POST"}}), []string{
			"!adds POST to every path of api.example.com, before: GET under /v1",
			"goes without a credential, unlike the other routes of api.example.com"}},
		"one path": {grant("new.example.com", 0, exact("/x", "GET")), []string{
			"adds GET to the path /x of new.example.com, before: nothing", "lets pipelockd connect to new.example.com"}},
		"nothing new": {grant("api.example.com", 0, exact("/v1/a", "GET")), []string{
			"the path /v1/a of api.example.com: GET is allowed already",
			"goes without a credential, unlike the other routes of api.example.com"}},
		"everything": {grant("new.example.com", 0), []string{
			"!adds every method to every path of new.example.com, before: nothing", "lets pipelockd connect to new.example.com"}},
		"slash": {grant("new.example.com", 0, prefix("/", "DELETE")), []string{
			"!adds DELETE to every path of new.example.com, before: nothing", "lets pipelockd connect to new.example.com"}},
		"a regex for all": {grant("new.example.com", 0, wire.Match{Path: &wire.PathMatch{Regex: "/.*"}, Methods: []string{"PUT"}}), []string{
			"!adds PUT to every path (by the expression /.*) of new.example.com, before: nothing", "lets pipelockd connect to new.example.com"}},
		"wildcard": {grant("*.example.org", 0, prefix("/a", "GET")), []string{
			"adds GET to every path under /a of *.example.org, before: nothing",
			"!covers every name below example.org, also names that do not exist yet", "lets pipelockd connect to *.example.org"}},
		"public suffix": {grant("*.co.uk", 0, prefix("/a", "GET")), []string{
			"adds GET to every path under /a of *.co.uk, before: nothing",
			"!covers every name below co.uk, also names that do not exist yet",
			"!anybody can get a name below co.uk: it is a public suffix", "lets pipelockd connect to *.co.uk"}},
		"port": {grant("new.example.com:8443", 0, exact("/x", "GET")), []string{
			"adds GET to the path /x of new.example.com:8443, before: nothing", "!goes to port 8443 instead of 443",
			"lets pipelockd connect to new.example.com:8443"}},
		"under a wildcard": {grant("a.cdn.example.com", 0, exact("/x", "GET", "PUT")), []string{
			"adds PUT to the path /x of a.cdn.example.com, before: GET everywhere"}},
		"host of pipelock": {wire.Grant{Host: "d.example.com"}, []string{
			"lets pipelockd connect to d.example.com; the agent gets there only when egressd has a route for it, too"}},
	} {
		if got := told(Describe(standing(), tc.g)); got != strings.Join(tc.want, "\n") {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, strings.Join(tc.want, "\n"))
		}
	}
}

func told(lines []Line) string {
	var out []string
	for _, l := range lines {
		if l.Alarm {
			l.Text = "!" + l.Text
		}
		out = append(out, l.Text)
	}
	return strings.Join(out, "\n")
}

func TestDescribeCredentialsAndMore(t *testing.T) {
	g := grant("new.example.com", 0, exact("/x", "GET"))
	g.Route.Auth, g.Route.WebSocket = &wire.Auth{Scheme: "Bearer", TokenRef: "T"}, true
	got := told(Describe(standing(), g))
	for _, want := range []string{
		"!sends the token T to new.example.com, too; before only to api.example.com",
		"!allows WebSocket, in which no single message is judged by path or method",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing from\n%s", want, got)
		}
	}
	if got := told(Describe(Policy{}, wire.Grant{Host: "d.example.com"})); !strings.Contains(got, "!lets the agent send any request to d.example.com") {
		t.Error(got)
	}
}

func TestLookAlikes(t *testing.T) {
	for host, alike := range map[string]bool{
		"api.examp1e.com": true, "api-example.com": true, "apl.example.com": true, "api.exarnple.com": true,
		"api.example.com.evil.org": true, "api.example.com-evil.org": true, "api.example.co": true,
		"v2.api.example.com": false, "docs.example.com": false, "other.org": false,
	} {
		got := strings.Contains(told(Describe(standing(), grant(host, 0))), "easily taken for api.example.com")
		if got != alike {
			t.Errorf("%s: %v", host, got)
		}
	}
	if !strings.Contains(told(Describe(Policy{Egress: true}, grant("xn--pi-7kc.example", 0))), "xn--pi-7kc") {
		t.Error("punycode passes without a word")
	}
}

// Whatever is granted: nothing that was allowed is denied, nothing is said to be
// allowed already that was not, and Describe never panics.
func FuzzApply(f *testing.F) {
	f.Add("img.cdn.example.com", "/up", "", "PUT")
	f.Add("*.cdn.example.com", "", "/v1", "")
	f.Fuzz(func(t *testing.T, host, ex, pre, method string) {
		g := wire.Grant{Route: &wire.Route{Host: host}}
		if ex != "" || pre != "" || method != "" {
			m := wire.Match{}
			if ex != "" || pre != "" {
				m.Path = &wire.PathMatch{Exact: ex, Prefix: pre}
			}
			if method != "" {
				m.Methods = []string{method}
			}
			g.Route.Matches = []wire.Match{m}
		}
		if _, err := route.Validate(*g.Route); err != nil {
			return
		}
		lines := told(Describe(standing(), g))
		p, err := Apply(standing(), []wire.Grant{g}, epoch)
		if err != nil {
			t.Fatal(err)
		}
		if !allowed(t, p, "GET", "api.example.com", "/v1/x") || !allowed(t, p, "GET", "img.cdn.example.com", "/x") {
			t.Errorf("%+v takes something away", g.Route)
		}
		if h, _, wildcard, _ := route.SplitPattern(strings.ToLower(host)); !wildcard && ex != "" && pre == "" && method != "" && !strings.Contains(host, ":") {
			if strings.Contains(lines, "is allowed already") != allowed(t, standing(), method, h, ex) {
				t.Errorf("%s of %+v", lines, g.Route)
			}
		}
	})
}
