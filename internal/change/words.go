package change

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Line is one sentence about a change.
type Line struct {
	Text string
	// Alarm marks what widens a policy more than it may seem.
	Alarm bool
}

// Describe says what a grant adds to the policy that is in force. A grant that
// adds nothing says so.
func Describe(before Policy, g wire.Grant) []Line {
	var lines []Line
	say := func(alarm bool, format string, args ...any) {
		lines = append(lines, Line{fmt.Sprintf(format, args...), alarm})
	}
	if g.Route != nil {
		r := *g.Route
		r.Host = canonical(r.Host)
		describeMatches(before, r, say)
		describeHost(before, r.Host, say)
		describeExtras(before, r, say)
		describeDialling(before, wire.AllowHost{Host: r.Host, WebSocket: r.WebSocket}, true, say)
	}
	if g.Host != "" {
		host := canonical(g.Host)
		describeHost(before, host, say)
		describeDialling(before, wire.AllowHost{Host: host}, false, say)
	}
	if g.Finding != nil {
		describeFinding(before, *g.Finding, say)
	}
	return lines
}

type sayer func(alarm bool, format string, args ...any)

// holding are the routes in force for a pattern's names.
func holding(p Policy, pattern string) []wire.Route {
	var own []wire.Route
	for _, r := range p.Routes {
		if canonical(r.Host) == pattern {
			own = append(own, r)
		}
	}
	if len(own) > 0 {
		return own
	}
	return covering(p.Routes, pattern)
}

// describeMatches says what paths and methods are new.
func describeMatches(before Policy, r wire.Route, say sayer) {
	have := holding(before, r.Host)
	matches := r.Matches
	if len(matches) == 0 {
		matches = []wire.Match{{}}
	}
	for _, m := range matches {
		added := missing(have, m)
		where := pathWords(m) + " of " + r.Host
		if len(added) == 0 {
			say(false, "%s: %s is allowed already", where, methodWords(m.Methods))
			continue
		}
		everything := everyPath(m)
		writes := slices.ContainsFunc(added, func(s string) bool { return !slices.Contains(safe, s) })
		say(everything && writes, "adds %s to %s%s, before: %s", methodWords(addedOr(m, added)), where, headerWords(m), beforeWords(have))
	}
}

// addedOr keeps "every method" in one word when all of them are new.
func addedOr(m wire.Match, added []string) []string {
	if len(m.Methods) == 0 && len(added) == len(route.Ordinary()) {
		return nil
	}
	return added
}

// safe are the methods that only read.
var safe = []string{"GET", "HEAD", "OPTIONS"}

// missing are the methods of a match that no match in force takes on its paths.
func missing(have []wire.Route, m wire.Match) []string {
	want := m.Methods
	if len(want) == 0 {
		want = route.Ordinary()
	}
	return slices.DeleteFunc(slices.Clone(want), func(method string) bool {
		return slices.ContainsFunc(have, func(r wire.Route) bool {
			if len(r.Matches) == 0 {
				return slices.Contains(route.Ordinary(), method)
			}
			return slices.ContainsFunc(r.Matches, func(x wire.Match) bool { return takes(x, m, method) })
		})
	})
}

// takes reports whether match x takes whatever match m takes with a method.
func takes(x, m wire.Match, method string) bool {
	if len(x.Methods) > 0 && !slices.Contains(x.Methods, method) || len(x.Methods) == 0 && !slices.Contains(route.Ordinary(), method) {
		return false
	}
	for name, v := range x.Headers {
		if w, ok := m.Headers[name]; !ok || v != w {
			return false
		}
	}
	switch {
	case x.Path == nil:
		return true
	case m.Path == nil:
		return false
	case x.Path.Exact != "":
		return m.Path.Exact == x.Path.Exact
	case x.Path.Prefix != "":
		return m.Path.Regex == "" && below(m.Path.Exact+m.Path.Prefix, x.Path.Prefix)
	case m.Path.Exact != "":
		re, err := regexp.Compile(`\A(?:` + x.Path.Regex + `)\z`)
		return err == nil && re.MatchString(m.Path.Exact)
	}
	return m.Path.Regex == x.Path.Regex
}

// below compares whole segments, as package route does.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// oddPaths are taken together by expressions that mean everything.
var oddPaths = []string{"/", "/a", "/zq7/Kx-9_~/0.bin", "/%E2%82%AC/x"}

// everyPath reports whether a match takes all paths, or as good as all.
func everyPath(m wire.Match) bool {
	switch {
	case m.Path == nil || m.Path.Prefix == "/":
		return true
	case m.Path.Regex == "":
		return false
	}
	re, err := regexp.Compile(`\A(?:` + m.Path.Regex + `)\z`)
	return err == nil && !slices.ContainsFunc(oddPaths, func(p string) bool { return !re.MatchString(p) })
}

func pathWords(m wire.Match) string {
	switch {
	case m.Path == nil || m.Path.Prefix == "/":
		return "every path"
	case m.Path.Exact != "":
		return "the path " + m.Path.Exact
	case m.Path.Prefix != "":
		return "every path under " + strings.TrimSuffix(m.Path.Prefix, "/")
	case everyPath(m):
		return "every path (by the expression " + m.Path.Regex + ")"
	}
	return "the paths like " + m.Path.Regex
}

func methodWords(methods []string) string {
	switch n := len(methods); n {
	case 0:
		return "every method"
	case 1:
		return methods[0]
	default:
		return strings.Join(methods[:n-1], ", ") + " and " + methods[n-1]
	}
}

func headerWords(m wire.Match) string {
	var out string
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		out += ", if " + name + " is " + m.Headers[name]
	}
	return out
}

// maxBefore bounds the matches that are told of what was before.
const maxBefore = 4

// beforeWords tell what a host's routes take.
func beforeWords(have []wire.Route) string {
	if len(have) == 0 {
		return "nothing"
	}
	var words []string
	for _, r := range have {
		matches := r.Matches
		if len(matches) == 0 {
			matches = []wire.Match{{}}
		}
		for _, m := range matches {
			words = append(words, methodWords(m.Methods)+" "+shortPath(m)+headerWords(m))
		}
	}
	if n := len(words) - maxBefore; n > 0 {
		words = append(words[:maxBefore], fmt.Sprintf("%d more", n))
	}
	return strings.Join(words, "; ")
}

func shortPath(m wire.Match) string {
	switch {
	case m.Path == nil || m.Path.Prefix == "/":
		return "everywhere"
	case m.Path.Exact != "":
		return m.Path.Exact
	case m.Path.Prefix != "":
		return "under " + strings.TrimSuffix(m.Path.Prefix, "/")
	}
	return "like " + m.Path.Regex
}

// describeExtras says what else a route grants: a credential, WebSocket.
func describeExtras(before Policy, r wire.Route, say sayer) {
	have := holding(before, r.Host)
	switch hosts := sentTo(before, r.Auth); {
	case r.Auth == nil && slices.ContainsFunc(have, func(x wire.Route) bool { return x.Auth != nil }):
		say(false, "goes without a credential, unlike the other routes of %s", r.Host)
	case r.Auth == nil:
	case slices.Contains(hosts, r.Host):
		say(false, "carries the token %s, as other routes of %s do", r.Auth.TokenRef, r.Host)
	case len(hosts) == 0:
		say(true, "sends the token %s to %s; it was sent nowhere before", r.Auth.TokenRef, r.Host)
	default:
		say(true, "sends the token %s to %s, too; before only to %s", r.Auth.TokenRef, r.Host, strings.Join(hosts, ", "))
	}
	if r.WebSocket && !slices.ContainsFunc(have, func(x wire.Route) bool { return x.WebSocket }) {
		say(true, "allows WebSocket, in which no single message is judged by path or method")
	}
	if r.EncodedSlash {
		say(false, "takes paths with %%2F in them")
	}
}

// sentTo lists the hosts that a token goes to.
func sentTo(p Policy, a *wire.Auth) []string {
	var hosts []string
	for _, r := range p.Routes {
		if a != nil && r.Auth != nil && r.Auth.TokenRef == a.TokenRef {
			hosts = append(hosts, canonical(r.Host))
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// describeDialling says what pipelockd will connect to.
func describeDialling(before Policy, e wire.AllowHost, withRoute bool, say sayer) {
	after := addAllow(slices.Clone(before.Allow), e)
	if slices.Equal(after, before.Allow) {
		if !withRoute {
			say(false, "pipelockd connects to %s already", e.Host)
		}
		return
	}
	switch {
	case withRoute:
		say(false, "lets pipelockd connect to %s", e.Host)
	case before.Egress:
		say(false, "lets pipelockd connect to %s; the agent gets there only when egressd has a route for it, too", e.Host)
	default:
		say(true, "lets the agent send any request to %s, every path and method", e.Host)
	}
}
