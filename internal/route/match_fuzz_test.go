package route

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

// plainly decides as the documentation says, without anything compiled: it is
// slow and easy to read.
func plainly(routes []wire.Route, method, host, port, path string) (route int) {
	pattern := ""
	for _, r := range routes { // the exact host, else the longest suffix
		h, p, wildcard, _ := SplitPattern(r.Host)
		switch {
		case p != port:
		case !wildcard && h == host:
			pattern = r.Host
		case wildcard && strings.HasSuffix(host, "."+h) && (pattern == "" || strings.HasPrefix(pattern, "*.") && len(r.Host) > len(pattern)):
			pattern = r.Host
		}
	}
	for i, r := range routes {
		if r.Host != pattern {
			continue
		}
		if len(r.Matches) == 0 && slices.Contains(ordinary, method) {
			return i
		}
		for _, m := range r.Matches {
			if plainlyMatches(m, method, path) {
				return i
			}
		}
	}
	return -1
}

func plainlyMatches(m wire.Match, method, path string) bool {
	methods := m.Methods
	if len(methods) == 0 {
		methods = ordinary
	}
	if !slices.Contains(methods, method) {
		return false
	}
	switch p := m.Path; {
	case p == nil:
		return true
	case p.Exact != "":
		return path == p.Exact
	case p.Prefix != "":
		want := strings.Split(strings.Trim(p.Prefix, "/"), "/")
		got := strings.Split(strings.TrimPrefix(path, "/"), "/")
		if want[0] == "" {
			return true
		}
		return len(got) >= len(want) && slices.Equal(got[:len(want)], want)
	default:
		loc := regexp.MustCompile(p.Regex).FindStringIndex(path)
		longest := regexp.MustCompile("^(" + p.Regex + ")$").FindStringIndex(path)
		return loc != nil && longest != nil
	}
}

func FuzzMatch(f *testing.F) {
	routes := []wire.Route{
		{Host: "api.example", Matches: []wire.Match{prefix("/v1/", "GET", "POST"), exact("/status")}},
		{Host: "api.example", Matches: []wire.Match{prefix("/v1", "DELETE"), {Path: &wire.PathMatch{Regex: "/jobs/[a-z0-9]+"}}}},
		{Host: "api.example:8443", Matches: []wire.Match{{Methods: []string{"PURGE"}}}},
		{Host: "*.wild.example", Matches: []wire.Match{prefix("/", "GET")}},
		{Host: "*.deep.wild.example"},
		{Host: "exact.deep.wild.example", Matches: []wire.Match{exact("/")}},
	}
	tab := table(f, routes...)
	for _, host := range []string{"api.example", "a.wild.example", "a.deep.wild.example", "exact.deep.wild.example", "deep.wild.example", "wild.example", "api.example.wild.example"} {
		f.Add("GET", host, "443", "/v1/x")
	}
	f.Add("PURGE", "api.example", "8443", "/")
	f.Add("POST", "api.example", "443", "/jobs/a1\n")
	f.Fuzz(func(t *testing.T, method, rawHost, port, rawPath string) {
		host, err := Host(rawHost)
		path, err2 := CanonicalPath(rawPath)
		if err != nil || err2 != nil {
			return
		}
		m := tab.Match(method, host, port, path, nil)
		want := plainly(routes, method, host, port, path)
		if (m.Route != nil) != (want >= 0) || m.Route != nil && (m.Reason != "" || m.Rule[:len("routes[0]")] != "routes["+string(rune('0'+want))+"]") {
			t.Fatalf("%s %s:%s%s: %+v, want route %d", method, host, port, path, m, want)
		}
		if m.Route != nil && !tab.Host(host, port) {
			t.Fatalf("%s:%s has a match but no tunnel", host, port)
		}
	})
}
