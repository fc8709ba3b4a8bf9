// Package preflight tells the operator, in a few lines, what a bottle could
// reach and with what, before it is started. It prints names of credentials and
// variables, never their values.
package preflight

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

// Sheet is what is shown.
type Sheet struct {
	Launch *manifest.Launch
	Env    map[string]string
	Trust  *pki.Trust
	// Workspace is the directory of the host that the agent works on, "" for none.
	Workspace string
	Mounted   bool
	// Missing are token_refs without a value.
	Missing []string
	// Fingerprints, Images and Runtime are empty in a dry run.
	Fingerprints map[string]string
	Images       map[string]string
	Runtime      string
}

// Write prints the sheet.
func (s *Sheet) Write(w io.Writer) error {
	var buf bytes.Buffer
	t := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', 0)
	row := func(head string, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", head, printable(fmt.Sprintf(format, args...)))
	}
	b := s.Launch.Bottle
	row("agent", "%s (%s)", s.Launch.Agent.Name, s.Launch.Agent.File)
	s.agent(row)
	row("bottle", "%s (%s)%s", b.Name, b.File, extends(b))
	s.provider(row)
	s.workspace(row)
	s.routes(row)
	s.pipelock(row)
	s.git(row)
	s.env(row)
	s.host(row)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// provider says which program the agent is, and whether it will have a credential.
func (s *Sheet) provider(row rowFunc) {
	b := s.Launch.Bottle
	built := ""
	if b.Dockerfile != "" {
		built = ", with " + b.Dockerfile
	}
	row("provider", "%s (%s%s)", b.Provider.Name, b.Provider.Image, built)
	if _, _, served := b.Provider.Placeholder(b.Routes); !served {
		row("note", "no route gives %s a credential; docs/providers.md has the one that it needs", b.Provider.Name)
	}
}

// agent says who the agent is and what it brings.
func (s *Sheet) agent(row rowFunc) {
	a := s.Launch.Agent
	for _, skill := range a.Skills {
		row("skill", "%s, %d files, read-only", skill.Name, len(skill.Files))
	}
	if u := a.GitUser; u != nil {
		row("git user", "%s <%s>", u.Name, u.Email)
	}
}

// extends names what a bottle takes over from.
func extends(b *manifest.Bottle) string {
	if len(b.Extends) == 0 {
		return ""
	}
	return ", extends " + strings.Join(b.Extends, ", ")
}

// workspace says what of the host's files the agent gets.
func (s *Sheet) workspace(row rowFunc) {
	switch {
	case s.Workspace == "":
	case s.Mounted:
		row("workspace", "%s of this host, MOUNTED: what the agent writes there, hooks and editor tasks included, is here at once", s.Workspace)
	default:
		row("workspace", "a copy of %s", s.Workspace)
	}
}

// env names the agent's variables, and says which of them hold no token.
func (s *Sheet) env(row rowFunc) {
	placeholders := s.Launch.Bottle.Placeholders()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if slices.Contains(placeholders, name) || strings.HasPrefix(s.Env[name], secret.PlaceholderPrefix) {
			name += " (placeholder)"
		}
		names = append(names, name)
	}
	for _, v := range s.Launch.Bottle.Asked() {
		names = append(names, v.Name+" (asked: "+v.Ask+")")
	}
	if len(names) > 0 {
		row("env", "%s", strings.Join(names, ", "))
	}
}

type rowFunc func(head string, format string, args ...any)

func (s *Sheet) routes(row rowFunc) {
	routes := s.Launch.Bottle.Routes
	if len(routes) == 0 {
		row("reach", "no routes: the agent's proxy is pipelockd, without credentials")
	}
	for i, r := range routes {
		from := ""
		if name, source := s.Launch.Bottle.PresetOf(i); name != "" {
			from = ", by the preset " + name + " (" + source + ")"
		}
		for _, rule := range rules(r) {
			row("reach", "%s %s%s%s", r.Host, rule, s.extras(r), from)
		}
	}
	for _, note := range s.Launch.Bottle.Notes() {
		row("note", "%s", note)
	}
}

// rules are the matches of a route in words: methods, then the path.
func rules(r wire.Route) []string {
	if len(r.Matches) == 0 {
		return []string{"any method, any path"}
	}
	var out []string
	for _, m := range r.Matches {
		methods, path := "any method", "any path"
		if len(m.Methods) > 0 {
			methods = strings.Join(m.Methods, " ")
		}
		if m.Path != nil {
			switch {
			case m.Path.Exact != "":
				path = "only " + m.Path.Exact
			case m.Path.Prefix != "":
				path = "below " + m.Path.Prefix
			default:
				path = "paths like " + m.Path.Regex
			}
		}
		for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
			path += ", if " + name + " is " + m.Headers[name]
		}
		out = append(out, methods+", "+path)
	}
	return out
}

// extras are what else a route grants.
func (s *Sheet) extras(r wire.Route) string {
	var out string
	if r.Auth != nil {
		out += ", with the token " + r.Auth.TokenRef
		if slices.Contains(s.Missing, r.Auth.TokenRef) {
			out += " (not set)"
		}
	}
	if r.Auth != nil && r.Auth.Scrub != nil && !*r.Auth.Scrub {
		out += " (not scrubbed from responses)"
	}
	if r.WebSocket {
		out += ", websocket"
	}
	if r.EncodedSlash {
		out += ", encoded slashes"
	}
	if r.Limits != nil && r.Limits.MaxRequestBytes > 0 {
		out += ", at most " + r.Limits.MaxRequestBytes.String() + " a request"
	}
	return out
}

func (s *Sheet) pipelock(row rowFunc) {
	p := s.Launch.Bottle.Pipelock
	if len(p.Allow) > 0 {
		note := ""
		if len(s.Launch.Bottle.Routes) > 0 {
			note = " (pipelockd alone; the agent gets there by a route only)"
		}
		row("pipelock", "also allows %s%s", strings.Join(p.Allow, ", "), note)
	}
	if len(p.AllowPrivate) > 0 {
		row("pipelock", "may dial private addresses of %s", strings.Join(p.AllowPrivate, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Hosts)) {
		row("pipelock", "takes %s for %s", p.Hosts[name], name)
	}
	for _, src := range s.Trust.Sources {
		row("roots", "%d from %s (%s), for the way out", src.Count, src.Path, src.Name)
	}
}

// git says for each remote what the agent may do with it, and as whom.
func (s *Sheet) git(row rowFunc) {
	for _, r := range s.Launch.Bottle.Git {
		push := "read only"
		if len(r.Refs.Allow) > 0 {
			push = "push to " + strings.Join(r.Refs.Allow, ", ")
		}
		for _, grant := range []struct {
			set  bool
			text string
		}{
			{r.Refs.Force, "forced too"}, {r.Refs.Delete, "deletions too"}, {r.Refs.Tags == wire.TagsMove, "tags move"},
			{r.IdentityFile != "", "with the key " + r.IdentityFile}, {r.TokenRef != "", "with the token " + r.TokenRef},
			{r.IdentityFile != "" && r.KnownHostKey == "", "but no known_host_key, so nothing is sent or fetched"},
		} {
			if grant.set {
				push += ", " + grant.text
			}
		}
		row("git", "%s: %s, %s", r.Name, r.Upstream, push)
	}
}

func (s *Sheet) host(row rowFunc) {
	if s.Fingerprints == nil {
		row("CA", "made at the start")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Fingerprints)) {
		row("CA", "%s %s", name, s.Fingerprints[name])
	}
	for _, ref := range slices.Sorted(maps.Keys(s.Images)) {
		row("image", "%s %.19s", ref, s.Images[ref])
	}
	if s.Runtime != "" {
		row("runtime", "%s", s.Runtime)
	}
	r := bundle.Resources(s.Launch.Bottle)
	row("resources", "%s CPUs, %s memory, %d processes", strconv.FormatFloat(r.CPUs, 'f', -1, 64), wire.Size(r.Memory), r.Pids)
}

// printable keeps a manifest from moving the cursor of the terminal on which it
// is judged.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
