// Package change works out what an approved proposal does to a bottle's policy:
// what the policy becomes ([Apply]), and what of that is new, in words that a
// human decides by ([Describe]). It is pure: policy and grants in, policy and
// sentences out.
//
// A grant only ever adds. What the manifest allows stays allowed, by the same
// rules: routes of grants stand behind the manifest's own, and where a grant for
// one name would hide the routes of a wildcard that covered the name (an exact
// host goes before a suffix, see package route), those are repeated for it.
package change

import (
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Policy is what a bottle allows.
type Policy struct {
	// Egress says that egressd stands in the bottle.
	Egress bool
	Routes []wire.Route
	Allow  []wire.AllowHost
	// Remotes are those of the git gate, none in a bottle without one.
	Remotes []wire.PolicyRemote
	// Findings are what the git gate lets pass.
	Findings []wire.GitAllowance
}

// Apply is the policy with the grants that hold at now.
func Apply(base Policy, grants []wire.Grant, now time.Time) (Policy, error) {
	p := Policy{Egress: base.Egress, Routes: slices.Clone(base.Routes), Allow: slices.Clone(base.Allow), Remotes: base.Remotes}
	live := slices.DeleteFunc(slices.Clone(grants), func(g wire.Grant) bool { return g.Expires.Past(now) })
	// From wide to narrow, so that what is repeated for a name is complete.
	slices.SortStableFunc(live, func(a, b wire.Grant) int { return width(hostOf(a)) - width(hostOf(b)) })
	for _, g := range live {
		if g.Route != nil && base.Egress {
			r := *g.Route
			r.Host, r.Expires = canonical(r.Host), g.Expires
			p.Routes = addRoute(p.Routes, r)
			p.Allow = addAllow(p.Allow, wire.AllowHost{Host: r.Host, WebSocket: r.WebSocket, Expires: g.Expires})
		}
		if g.Host != "" {
			p.Allow = addAllow(p.Allow, wire.AllowHost{Host: canonical(g.Host), Expires: g.Expires})
		}
		if g.Finding != nil && p.remote(g.Finding.Remote) {
			p.Findings = addFinding(p.Findings, wire.GitAllowance{Object: g.Finding.Object, Rule: g.Finding.Rule, Expires: g.Expires})
		}
	}
	if _, err := route.Compile(p.Routes); err != nil {
		return p, err
	}
	patterns := make([]string, len(p.Allow))
	for i, a := range p.Allow {
		patterns[i] = a.Host
	}
	_, err := route.NewHostSet(patterns)
	return p, err
}

func hostOf(g wire.Grant) string {
	if g.Route != nil {
		return g.Route.Host
	}
	return g.Host
}

// width orders patterns: wildcards by the length of their suffix, names last.
func width(pattern string) int {
	if strings.HasPrefix(pattern, "*.") {
		return len(pattern)
	}
	return 1 << 16
}

// canonical writes a valid pattern in lower case and without the port that
// holds anyway.
func canonical(pattern string) string {
	return strings.TrimSuffix(strings.ToLower(pattern), ":"+route.DefaultPort)
}

// addRoute appends a route, and for a host that a wildcard covered so far the
// routes of that wildcard.
func addRoute(routes []wire.Route, r wire.Route) []wire.Route {
	own := func(x wire.Route) bool { return canonical(x.Host) == r.Host }
	if slices.ContainsFunc(routes, own) {
		return append(routes, r)
	}
	over := covering(routes, r.Host)
	routes = append(routes, r)
	for _, x := range over {
		x.Host = r.Host
		routes = append(routes, x)
	}
	return routes
}

// covering are the routes of the narrowest wildcard that takes a pattern's names.
func covering(routes []wire.Route, pattern string) []wire.Route {
	best := ""
	for _, x := range routes {
		if h := canonical(x.Host); covers(h, pattern) && len(h) > len(best) {
			best = h
		}
	}
	var out []wire.Route
	for _, x := range routes {
		if best != "" && canonical(x.Host) == best {
			out = append(out, x)
		}
	}
	return out
}

// covers reports whether a wildcard takes all names of another pattern.
func covers(wide, narrow string) bool {
	host, port, wildcard, err := route.SplitPattern(wide)
	if err != nil || !wildcard {
		return false
	}
	inner, innerPort, _, err := route.SplitPattern(narrow)
	return err == nil && port == innerPort && strings.HasSuffix(inner, "."+host)
}

// addAllow adds an entry to pipelockd's list, unless what is there lasts as long.
func addAllow(list []wire.AllowHost, e wire.AllowHost) []wire.AllowHost {
	for i, x := range list {
		switch {
		case canonical(x.Host) == e.Host:
			list[i].WebSocket = x.WebSocket || e.WebSocket
			if !lasts(x.Expires, e.Expires) {
				list[i].Expires = e.Expires
			}
			return list
		case covers(canonical(x.Host), e.Host) && lasts(x.Expires, e.Expires) && (x.WebSocket || !e.WebSocket):
			return list
		}
	}
	return append(list, e)
}

// lasts reports whether a ends no sooner than b.
func lasts(a, b wire.Instant) bool {
	return a.IsZero() || !b.IsZero() && !a.Before(b.Time)
}

// Hosts are the patterns of routes, for the name constraints of egressd's
// certificate.
func (p Policy) Hosts() []string {
	var out []string
	for _, r := range p.Routes {
		out = append(out, r.Host)
	}
	return out
}

// Dialled are the patterns that pipelockd takes.
func (p Policy) Dialled() []string {
	var out []string
	for _, a := range p.Allow {
		out = append(out, a.Host)
	}
	return out
}

// Next is the earliest moment after now at which a grant ends, zero for none.
func Next(grants []wire.Grant, now time.Time) wire.Instant {
	var next wire.Instant
	for _, g := range grants {
		if !g.Expires.IsZero() && !g.Expires.Past(now) && (next.IsZero() || g.Expires.Before(next.Time)) {
			next = g.Expires
		}
	}
	return next
}
