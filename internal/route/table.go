// Package route decides whether a table of routes takes a request, and which
// rule of it does. It knows hosts, ports, paths and methods and imports nothing
// of HTTP.
//
// Order of precedence: a route for the exact host before one for a suffix; of
// several routes for one host pattern, and of the matches in a route, the first
// that takes the request. Conditions in a match all hold; matches are
// alternatives; a route without matches takes every path and every method of
// the ordinary ones. A route that has expired takes nothing.
//
// Everything is compared in its one spelling: hosts as [Host] returns them,
// paths as [CanonicalPath] does.
package route

import (
	"fmt"
	"maps"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// ordinary are the methods that a rule without methods takes. TRACE reflects
// credentials and CONNECT opens tunnels, so no rule takes those; others must be
// named.
var ordinary = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Table is a compiled list of routes. It is immutable and safe for concurrent
// use; matching does not allocate.
type Table struct {
	hosts  *HostSet
	groups []group // by index of the host set
	now    func() time.Time
}

// group is the routes of one host pattern.
type group struct {
	routes       []*compiled
	credentialed bool
}

type compiled struct {
	route   wire.Route
	name    string
	matches []match
}

type match struct {
	name          string
	exact, prefix string
	regex         *regexp.Regexp
	methods       []string
	headers       []header
}

// header is a condition; its name is in canonical form.
type header struct{ name, value string }

// Headers gives the values of a field by its canonical name. An http.Header is
// one.
type Headers interface{ Values(name string) []string }

// Result says what a table makes of a request.
type Result struct {
	// Reason is "" when the request is taken.
	Reason policy.Reason
	// Rule names the match that took the request, or the nearest miss:
	// "routes[0]" or "routes[0].matches[1]".
	Rule string
	// Route is the route that took the request, else nil. Do not change it.
	Route *wire.Route
	// Credentialed says that some route of this host injects a credential.
	Credentialed bool
}

// Compile checks routes and builds their table. An error begins with the name of
// the faulty value, such as "routes[2].matches[0].path".
func Compile(routes []wire.Route) (*Table, error) {
	t := &Table{now: time.Now}
	var patterns []string
	for i, r := range routes {
		name := fmt.Sprintf("routes[%d]", i)
		if field, err := Validate(r); err != nil {
			return nil, fmt.Errorf("%s: %w", join(name, field), err)
		}
		c := compile(name, r)
		pattern := strings.ToLower(r.Host)
		if host, port, wildcard, _ := SplitPattern(pattern); !wildcard {
			pattern = host + ":" + port
		}
		if g := slices.Index(patterns, pattern); g >= 0 {
			t.groups[g].add(c)
			continue
		}
		patterns = append(patterns, pattern)
		t.groups = append(t.groups, group{})
		t.groups[len(t.groups)-1].add(c)
	}
	var err error
	t.hosts, err = NewHostSet(patterns)
	return t, err
}

func (g *group) add(c *compiled) {
	g.routes = append(g.routes, c)
	g.credentialed = g.credentialed || c.route.Auth != nil
}

func join(name, field string) string {
	if field == "" {
		return name
	}
	return name + "." + field
}

func compile(name string, r wire.Route) *compiled {
	c := &compiled{route: r, name: name}
	for i, m := range r.Matches {
		cm := match{name: fmt.Sprintf("%s.matches[%d]", name, i), methods: m.Methods}
		if m.Path != nil {
			cm.exact, cm.prefix = m.Path.Exact, m.Path.Prefix
			if m.Path.Regex != "" {
				cm.regex = regexp.MustCompile(anchored(m.Path.Regex)) // Validate has compiled it
			}
		}
		for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
			cm.headers = append(cm.headers, header{textproto.CanonicalMIMEHeaderKey(name), m.Headers[name]})
		}
		c.matches = append(c.matches, cm)
	}
	if len(c.matches) == 0 {
		c.matches = []match{{name: name}}
	}
	return c
}

// Host reports whether any route names host and port. It decides about a tunnel,
// before a path is known.
func (t *Table) Host(host, port string) bool {
	g, ok := t.hosts.Find(host, port)
	return ok && slices.ContainsFunc(t.groups[g].routes, t.live)
}

// live reports whether a route has not expired. The clock is asked for routes
// that do expire only.
func (t *Table) live(c *compiled) bool {
	return c.route.Expires.IsZero() || !c.route.Expires.Past(t.now())
}

// Match judges a request. Host must be as [Host] returns it, path as
// [CanonicalPath] does. With nil headers a match that has header conditions
// does not take the request.
func (t *Table) Match(method, host, port, path string, h Headers) Result {
	g, ok := t.hosts.Find(host, port)
	if !ok {
		return Result{Reason: policy.ReasonHostNotAllowed}
	}
	miss := Result{Reason: policy.ReasonHostNotAllowed, Rule: t.groups[g].routes[0].name}
	for _, c := range t.groups[g].routes {
		if !t.live(c) {
			continue
		}
		if miss.Reason == policy.ReasonHostNotAllowed {
			miss.Reason, miss.Rule = policy.ReasonPathNotAllowed, c.name
		}
		for i := range c.matches {
			m := &c.matches[i]
			switch {
			case !m.takesPath(path) || !m.takesHeaders(h):
			case !m.takesMethod(method):
				miss = Result{Reason: policy.ReasonMethodNotAllowed, Rule: m.name}
			default:
				return Result{Rule: m.name, Route: &c.route, Credentialed: t.groups[g].credentialed}
			}
		}
	}
	return miss
}

func (m *match) takesPath(path string) bool {
	switch {
	case m.exact != "":
		return path == m.exact
	case m.prefix != "":
		return hasPathPrefix(path, m.prefix)
	case m.regex != nil:
		return m.regex.MatchString(path)
	}
	return true
}

// takesHeaders wants each field once: of two values a server may take either.
func (m *match) takesHeaders(h Headers) bool {
	for i := range m.headers {
		if h == nil {
			return false
		}
		if v := h.Values(m.headers[i].name); len(v) != 1 || v[0] != m.headers[i].value {
			return false
		}
	}
	return true
}

// hasPathPrefix compares whole segments: the prefix /v1, or /v1/, takes /v1 and
// /v1/x but not /v10.
func hasPathPrefix(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

func (m *match) takesMethod(method string) bool {
	if len(m.methods) == 0 {
		return slices.Contains(ordinary, method)
	}
	return slices.Contains(m.methods, method)
}

// Ordinary are the methods that a rule without methods takes.
func Ordinary() []string { return slices.Clone(ordinary) }
