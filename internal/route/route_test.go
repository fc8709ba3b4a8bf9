package route

import (
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"api.example": "api.example", "API.Example": "api.example", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"a_b.example": "a_b.example", "localhost": "localhost", "1.example": "1.example",
	} {
		if got, err := Host(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", ".", "api.example.", "api..example", ".example", "-a.example", "a-.example",
		"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "1.2.3.0x", "[::1]", "::1", "::ffff:127.0.0.1",
		"user@api.example", "api.example\x00", "api.example\r\n", "api example", "api.example/..", "api\uff0eexample", "аpi.example",
		"api.example%00", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example",
	} {
		if got, err := Host(in); err == nil {
			t.Errorf("%q was taken as %q", in, got)
		}
	}
}

func TestSplitAuthority(t *testing.T) {
	for in, want := range map[string]string{"a.example": "a.example 443", "a.example:443": "a.example 443", "A.example:8443": "a.example 8443"} {
		if h, p, err := SplitAuthority(in, "443"); err != nil || h+" "+p != want {
			t.Errorf("%q: got %q %q, %v", in, h, p, err)
		}
	}
	for _, in := range []string{"a.example:", "a.example:0", "a.example:65536", "a.example:0443", "a.example:+443", "a.example:443:443", "a.example:https", "[::1]:443", "u:p@a.example:443"} {
		if h, p, err := SplitAuthority(in, "443"); err == nil {
			t.Errorf("%q was taken as %q %q", in, h, p)
		}
	}
}

func TestCanonicalPath(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "/v1/x": "/v1/x", "/v1/": "/v1/", "/a%20b": "/a%20b", "/%76%31": "/v1", "/a%e2%82%ac": "/a%E2%82%AC",
		"/~u/a.b-c_d": "/~u/a.b-c_d", "/a%7eb": "/a~b", "/100%25": "/100%25", "/a;v=1": "/a;v=1", `/a"b|c[0]`: "/a%22b%7Cc%5B0%5D", "/...": "/...", "/.well-known/x": "/.well-known/x",
		"/a:b@c!$&'()*+,=": "/a:b@c!$&'()*+,=",
	} {
		if got, err := CanonicalPath(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "v1", "*", "/v1/../x", "/v1/..", "/v1/./x", "/.", "/%2e%2e/x", "/%2E./x", "/v1/..;/x", "/v1/..;a=b/x", "/v1/.;/x", "/v1/..%3b/x",
		"/%252e%252e/x", "/%25%32%65", "/a%252fb", "/a\\b", "/a%5cb", "/a%5Cb", "/a%00", "/a%0d%0aX", "/a%7f", "//", "//x", "/a//b", "/a%2fb", "/a%2Fb",
		"/v1/..%20/x", "/v1/..%20%20", "/%C0%AE%C0%AE/", "/a%c0%af", "/a%ff", "/a b", "/a\x00", "/a\tb", "/ä", "/%", "/%2", "/%zz", "/a?b", "/a#b",
	} {
		if got, err := CanonicalPath(in); err == nil {
			t.Errorf("%q was taken as %q", in, got)
		}
	}
}

func TestPathWithSlashes(t *testing.T) {
	for in, want := range map[string]string{"/@scope%2fname": "/@scope%2Fname", "/@scope%2Fname/1.0.0": "/@scope%2Fname/1.0.0"} {
		if got, slashes, err := PathWithSlashes(in); err != nil || got != want || !slashes {
			t.Errorf("%q: got %q, %v, %v", in, got, slashes, err)
		}
	}
	for _, in := range []string{"/a%2f..%2fb", "/a/..%2fb", "/a%2f../b", "/a%2f%2e%2e/b", "/a%2f/b", "/a%2f%2fb", "/%2fa", "/a%2f..;x", "/a%252fb", "/a%5cb"} {
		if got, _, err := PathWithSlashes(in); err == nil {
			t.Errorf("%q was taken as %q", in, got)
		}
	}
}

func table(t testing.TB, routes ...wire.Route) *Table {
	t.Helper()
	tab, err := Compile(routes)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func prefix(p string, methods ...string) wire.Match {
	return wire.Match{Path: &wire.PathMatch{Prefix: p}, Methods: methods}
}

func exact(p string, methods ...string) wire.Match {
	return wire.Match{Path: &wire.PathMatch{Exact: p}, Methods: methods}
}

func TestMatch(t *testing.T) {
	tab := table(t,
		wire.Route{Host: "api.example", Matches: []wire.Match{prefix("/v1/", "GET"), exact("/v2/jobs", "POST")}},
		wire.Route{Host: "*.cdn.example"},
		wire.Route{Host: "x.cdn.example:8443", Matches: []wire.Match{{Methods: []string{"GET"}}}},
		wire.Route{Host: "api.example:443", Matches: []wire.Match{prefix("/v3", "PURGE")}},
	)
	for _, tc := range []struct{ method, host, port, path, want string }{
		{"GET", "api.example", "443", "/v1/x", "routes[0].matches[0]"},
		{"GET", "api.example", "443", "/v1", "routes[0].matches[0]"},
		{"GET", "api.example", "443", "/v10", "path_not_allowed"},
		{"POST", "api.example", "443", "/v1/x", "method_not_allowed"},
		{"POST", "api.example", "443", "/v2/jobs", "routes[0].matches[1]"},
		{"POST", "api.example", "443", "/v2/jobs/1", "path_not_allowed"},
		{"PURGE", "api.example", "443", "/v3/x", "routes[3].matches[0]"},
		{"GET", "api.example", "80", "/v1/x", "host_not_allowed"},
		{"GET", "b.api.example", "443", "/v1/x", "host_not_allowed"},
		{"GET", "a.cdn.example", "443", "/", "routes[1]"},
		{"GET", "a.b.cdn.example", "443", "/", "routes[1]"},
		{"GET", "cdn.example", "443", "/", "host_not_allowed"},
		{"GET", "evilcdn.example", "443", "/", "host_not_allowed"},
		{"GET", "a.cdn.example.evil.example", "443", "/", "host_not_allowed"},
		{"TRACE", "a.cdn.example", "443", "/", "method_not_allowed"},
		{"CONNECT", "a.cdn.example", "443", "/", "method_not_allowed"},
		{"get", "a.cdn.example", "443", "/", "method_not_allowed"},
		{"GET", "x.cdn.example", "8443", "/", "routes[2].matches[0]"},
		{"GET", "y.cdn.example", "8443", "/", "host_not_allowed"},
	} {
		r := tab.Match(tc.method, tc.host, tc.port, tc.path, nil)
		got := string(r.Reason)
		if got == "" {
			got = r.Rule
		}
		if got != tc.want || (r.Reason == "") != (r.Route != nil) {
			t.Errorf("%s %s:%s%s: got %s, want %s", tc.method, tc.host, tc.port, tc.path, got, tc.want)
		}
	}
}

func TestRegexIsAnchored(t *testing.T) {
	tab := table(t, wire.Route{Host: "api.example", Matches: []wire.Match{{Path: &wire.PathMatch{Regex: `/v[0-9]+/jobs|/health`}}}})
	for path, want := range map[string]bool{
		"/v1/jobs": true, "/v12/jobs": true, "/health": true,
		"/v1/jobs/1": false, "/x/health": false, "/v1/jobs\n": false, "/admin/v1/jobs": false,
	} {
		if got := tab.Match("GET", "api.example", "443", path, nil).Reason == ""; got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

func TestHeaderConditions(t *testing.T) {
	tab := table(t, wire.Route{Host: "api.example", Matches: []wire.Match{{Headers: map[string]string{"x-env": "test", "X-Team": "a"}}}})
	for _, tc := range []struct {
		h    Headers
		want bool
	}{
		{textproto.MIMEHeader{"X-Env": {"test"}, "X-Team": {"a"}}, true},
		{textproto.MIMEHeader{"X-Env": {"test"}}, false},
		{textproto.MIMEHeader{"X-Env": {"test", "prod"}, "X-Team": {"a"}}, false},
		{textproto.MIMEHeader{"X-Env": {"test "}, "X-Team": {"a"}}, false},
		{nil, false},
	} {
		if got := tab.Match("GET", "api.example", "443", "/", tc.h).Reason == ""; got != tc.want {
			t.Errorf("%v: %v", tc.h, got)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	auth := func(a wire.Auth) wire.Route { return wire.Route{Host: "a.example", Auth: &a} }
	for want, r := range map[string]wire.Route{
		"whole top-level domain":                 {Host: "*.com"},
		"address literal":                        {Host: "10.0.0.1"},
		"no DNS name has":                        {Host: "*"},
		"can never match":                        {Host: "a.example", Matches: []wire.Match{prefix("/a/../b")}},
		`write the path as "/a"`:                 {Host: "a.example", Matches: []wire.Match{prefix("/%61")}},
		"exactly one of exact, prefix and regex": {Host: "a.example", Matches: []wire.Match{{Path: &wire.PathMatch{}}}},
		"is not RE2":                             {Host: "a.example", Matches: []wire.Match{{Path: &wire.PathMatch{Regex: `(?=x)`}}}},
		`"host" is not a header`:                 {Host: "a.example", Matches: []wire.Match{{Headers: map[string]string{"host": "x"}}}},
		`the method "get"`:                       {Host: "a.example", Matches: []wire.Match{{Methods: []string{"get"}}}},
		`the method "TRACE"`:                     {Host: "a.example", Matches: []wire.Match{{Methods: []string{"TRACE"}}}},
		"over TLS only":                          {Host: "a.example:80", Auth: &wire.Auth{Scheme: "Bearer", TokenRef: "T"}},
		"unknown scheme":                         auth(wire.Auth{Scheme: "bearer", TokenRef: "T"}),
		"not the name":                           auth(wire.Auth{Scheme: "Bearer", TokenRef: "../T"}),
		"needs a header name":                    auth(wire.Auth{Scheme: "header", TokenRef: "T"}),
		"frames or routes":                       auth(wire.Auth{Scheme: "header", Header: "transfer-encoding", TokenRef: "T"}),
		"is not a header name":                   auth(wire.Auth{Scheme: "header", Header: "x\r\ny", TokenRef: "T"}),
		`goes with the scheme "header"`:          auth(wire.Auth{Scheme: "Bearer", Header: "x", TokenRef: "T"}),
	} {
		if _, err := Compile([]wire.Route{r}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", r, err, want)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	tab := table(t, wire.Route{Host: "*.svc.example", Matches: []wire.Match{prefix("/v1/", "GET")}})
	if n := testing.AllocsPerRun(100, func() {
		if _, err := CanonicalPath("/v1/a/b"); err != nil || tab.Match("GET", "a.b.svc.example", "443", "/v1/a/b", nil).Reason != "" {
			t.Fatal("not matched")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{"/", "/a/%2e%2e/b", "/a%252e", "/..;/", "/%e2%82%ac", "//", "/a%2fb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, slashes, err := PathWithSlashes(raw)
		if err != nil {
			return
		}
		if strict, err := CanonicalPath(raw); (err == nil) == slashes || err == nil && strict != got {
			t.Fatalf("%q is %q with slashes (%v), %q without, %v", raw, got, slashes, strict, err)
		}
		again, _, err := PathWithSlashes(got)
		if err != nil || again != got {
			t.Fatalf("%q becomes %q, which becomes %q, %v", raw, got, again, err)
		}
		plain, err := url.PathUnescape(got)
		want, err2 := url.PathUnescape(raw)
		if err != nil || err2 != nil || plain != want {
			t.Fatalf("%q and %q do not name the same: %q, %q", raw, got, want, plain)
		}
		// What a server makes of it after decoding holds no second reading.
		for _, seg := range strings.Split(plain[1:], "/") {
			if name, _, _ := strings.Cut(seg, ";"); name == "." || name == ".." {
				t.Fatalf("%q holds a dot segment", raw)
			}
		}
		if strings.ContainsAny(plain, "\\\x00\r\n") || strings.Contains(plain, "//") {
			t.Fatalf("%q holds a separator", raw)
		}
		if got != (&url.URL{Path: plain, RawPath: got}).EscapedPath() {
			t.Fatalf("%q would be sent in another spelling", got)
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"a.example", "127.1", "0x7f.1", "a..b", "A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Host(in)
		if err != nil {
			return
		}
		if again, err := Host(got); err != nil || again != got || !strings.EqualFold(in, got) {
			t.Fatalf("%q becomes %q, then %q, %v", in, got, again, err)
		}
		if u, err := url.Parse("https://" + got + ":443/"); err != nil || u.Hostname() != got {
			t.Fatalf("%q does not survive a URL", got)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	routes := []wire.Route{{Host: "api.example", Matches: []wire.Match{prefix("/v1/", "GET", "POST")}}}
	for c := 'a'; c <= 'z'; c++ {
		routes = append(routes, wire.Route{Host: string(c) + ".example"})
	}
	tab := table(b, routes...)
	b.ReportAllocs()
	for b.Loop() {
		p, err := CanonicalPath("/v1/messages/abc")
		if err != nil || tab.Match("POST", "api.example", "443", p, nil).Reason != policy.Reason("") {
			b.Fatal("not matched")
		}
	}
}
