package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/preset"
)

func (b *Bottle) checkPresets(k *bottleKeys) error {
	names := preset.Names()
	for i, name := range k.Egress.Presets {
		at := fmt.Sprintf("egress.presets[%d]", i)
		if !slices.Contains(names, name) {
			return b.errorf(at, "unknown preset %q%s", name, wire.DidYouMean(name, names))
		}
		if slices.Contains(k.Egress.Presets[:i], name) {
			return b.errorf(at, "the preset %s stands twice; keep one", name)
		}
	}
	return nil
}

// Take adds what the preset at index i stands for: its routes, after those of
// the manifest so that those are asked first, and the permission to reach its
// hosts where they are not public. Nothing is added with an error.
func (b *Bottle) Take(i int, p *preset.Preset) error {
	at := fmt.Sprintf("egress.presets[%d]", i)
	for _, s := range p.Sites {
		own, covered := b.routesFor(s.Host)
		switch {
		case covered != "":
			return b.errorf(at, "%s, where %s gets packages from, lies below your route for %s, which a route for that very host would replace; write one for %s yourself",
				s.Host, p.Name, covered, s.Host)
		case s.Credential && !slices.ContainsFunc(own, func(r wire.Route) bool { return r.Auth != nil }):
			return b.errorf(at, "%s holds a user name or password for %s, which the agent must not see; put it into a variable and let a route send it: egress.routes: [{host: %q, matches: [{methods: [GET, HEAD]}], auth: {scheme: Basic, token_ref: NAME}}]",
				s.Source, s.Host, s.Host)
		}
	}
	routes := append(slices.Clone(b.Routes), p.Routes()...)
	if _, err := route.Compile(routes); err != nil {
		return b.errorf(at, "%v", err)
	}
	b.Routes, b.Taken = routes, append(b.Taken, p)
	for _, s := range p.Sites {
		if s.Private != "" && !slices.Contains(b.Pipelock.AllowPrivate, s.Name()) {
			b.Pipelock.AllowPrivate = append(b.Pipelock.AllowPrivate, s.Name())
		}
	}
	return nil
}

// routesFor are the manifest's routes for a host, and the suffix that covers it
// when there are none.
func (b *Bottle) routesFor(host string) (own []wire.Route, covered string) {
	name, port, _ := strings.Cut(host, ":")
	for _, r := range b.manifestRoutes() {
		suffix, rport, _ := strings.Cut(r.Host, ":")
		suffix, wildcard := strings.CutPrefix(suffix, "*")
		switch {
		case r.Host == host:
			own = append(own, r)
		case wildcard && rport == port && strings.HasSuffix(name, suffix):
			covered = r.Host
		}
	}
	if len(own) > 0 {
		covered = ""
	}
	return own, covered
}

// manifestRoutes are the routes that no preset gave.
func (b *Bottle) manifestRoutes() []wire.Route {
	n := len(b.Routes)
	for _, p := range b.Taken {
		n -= len(p.Sites)
	}
	return b.Routes[:n]
}

// PresetOf names the preset that gave the route with an index, and whose
// configuration it came from; "" for one of the manifest's.
func (b *Bottle) PresetOf(i int) (name, source string) {
	i -= len(b.manifestRoutes())
	for _, p := range b.Taken {
		if i >= 0 && i < len(p.Sites) {
			return p.Name, p.Sites[i].Source
		}
		i -= len(p.Sites)
	}
	return "", ""
}

// Notes are sentences about what the presets left out and what they opened.
func (b *Bottle) Notes() []string {
	var out []string
	add := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, p := range b.Taken {
		for _, s := range p.Sites {
			if s.Private != "" {
				add("%s: %s is %s here, so pipelockd may dial it at an address that is not public", p.Name, s.Name(), s.Private)
			}
		}
		for _, n := range p.Notes {
			add("%s: %s", p.Name, n)
		}
	}
	return out
}
