// Package manifest reads what the operator writes: bottles and agents, markdown
// files with YAML front matter whose file name is their key.
//
// A bottle says what may be reached, with which credentials, and with what
// resources; its body is documentation. An agent names a bottle; its body is
// the agent's prompt. Keys are strict: an unknown one is an error at its line,
// one that was retired fails with the recipe that replaces it, and one that is
// designed but not served by this build fails instead of being ignored, because
// a boundary that is half applied is none.
//
// Bottles live in the operator's home only. Agents may come with a repository
// ($PWD/.bottle/agents), because an agent can ask for a bottle but not define
// one: a cloned repository never says where the operator's tokens go.
package manifest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/preset"
	"github.com/bottlesuite/bottle/launcher/internal/provider"
)

// Agent is one agents/*.md.
type Agent struct {
	Name   string
	File   string
	Bottle string
	// Prompt is the body.
	Prompt string
	// Skills are copied into the bottle; [Source.Load] reads them.
	Skills []Skill
	// GitUser is nil when the agent is nobody in particular.
	GitUser *GitUser

	skills []string
}

// Bottle is one bottles/*.md.
type Bottle struct {
	Name string
	File string
	Env  []EnvVar
	// Presets are names of presets; [Bottle.Take] adds what they stand for.
	Presets []string
	// Routes are those of the manifest, then those of the presets.
	Routes []wire.Route
	// Taken are the presets that were added.
	Taken     []*preset.Preset
	Pipelock  Pipelock
	Resources Resources
	// Supervise says that the agent may ask its operator for changes.
	Supervise bool
	// Git are the remotes behind the git gate, their key files resolved.
	Git []wire.GitRemote
	// Provider is the agent's program.
	Provider *provider.Provider
	// Dockerfile is what is built on top of the provider's image, "" for nothing.
	Dockerfile string

	// Extends are the bottles that this one takes over from, as they were named.
	Extends []string

	doc      *wire.Doc
	userHome string
	keys     bottleKeys        // with what the parents gave
	origins  map[string]origin // of what parents gave, by path in keys
}

// Pipelock is the section of the same name.
type Pipelock struct {
	// Allow are further host patterns that pipelockd may dial.
	Allow []string
	// AllowPrivate are hosts and CIDRs that may be private.
	AllowPrivate []string
	// Hosts pins names to addresses.
	Hosts map[string]string
	// ExtraCA is a PEM file, "" when there is none.
	ExtraCA string
	// SeedPhrases says whether seed phrases are looked for; nil leaves it to
	// pipelockd.
	SeedPhrases *bool
	// Known names variables of the host's environment whose values must not
	// leave, beside the tokens.
	Known []string
	// Canaries names variables of the agent's environment that get a planted
	// value, which nobody may send anywhere.
	Canaries []string
	// Actions say what becomes of secrets that are found.
	Actions []wire.ScanAction
	Limits  wire.SendLimits
}

// Resources limit the agent; zero means the default.
type Resources struct {
	CPUs   float64
	Memory wire.Size
	Pids   int64
}

// EnvVar is one variable of the agent's environment.
type EnvVar struct {
	Name string
	// Value holds for a literal.
	Value string
	// From is the variable of the host that gives the value, "" for a literal.
	From string
	// Ask is the question that the operator is asked at each launch, "" for none.
	Ask string
}

// TokenRefs are the names of the tokens that the routes inject, sorted.
func (b *Bottle) TokenRefs() []string {
	var refs []string
	for _, r := range b.Routes {
		if r.Auth != nil {
			refs = append(refs, r.Auth.TokenRef)
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// Hosts are the host patterns that pipelockd may dial: those of the routes,
// then those that the pipelock section adds.
func (b *Bottle) Hosts() []wire.AllowHost {
	var out []wire.AllowHost
	at := map[string]int{}
	add := func(host string, websocket bool) {
		if i, ok := at[host]; ok {
			out[i].WebSocket = out[i].WebSocket || websocket
			return
		}
		at[host] = len(out)
		out = append(out, wire.AllowHost{Host: host, WebSocket: websocket})
	}
	for _, r := range b.Routes {
		add(r.Host, r.WebSocket)
	}
	for _, h := range b.Pipelock.Allow {
		add(h, false)
	}
	return out
}

// Placeholders are the token_refs of which the agent gets a placeholder: those
// that the bottle's env does not set itself.
func (b *Bottle) Placeholders() []string {
	return slices.DeleteFunc(b.TokenRefs(), func(ref string) bool {
		return slices.ContainsFunc(b.Env, func(v EnvVar) bool { return v.Name == ref })
	})
}

// ResolveEnv gives the agent's environment its values, except those that are
// asked for ([Bottle.Asked]). Lookup looks into the host's environment, which
// gives no token away: the agent gets placeholders.
func (b *Bottle) ResolveEnv(lookup func(string) (string, bool)) (map[string]string, error) {
	out := map[string]string{}
	maps.Copy(out, b.Provider.Env)
	for _, p := range b.Taken {
		maps.Copy(out, p.Env)
	}
	if variable, value, _ := b.Provider.Placeholder(b.Routes); variable != "" {
		out[variable] = value
	}
	for _, ref := range b.Placeholders() {
		out[ref] = secret.Placeholder(ref)
	}
	for _, v := range b.Env {
		if v.Ask != "" {
			continue
		}
		if v.From == "" {
			out[v.Name] = v.Value
			continue
		}
		value, ok := lookup(v.From)
		if !ok {
			return nil, b.errorf("env."+v.Name, "the environment variable %s, which gives %s its value, is not set; export it", v.From, v.Name)
		}
		out[v.Name] = value
	}
	return out, nil
}

// MissingToken is the error for a token that cannot be had, at the route that
// needs it.
func (b *Bottle) MissingToken(ref, why string) error {
	for i, r := range b.Routes {
		if r.Auth != nil && r.Auth.TokenRef == ref {
			return b.errorf(fmt.Sprintf("egress.routes[%d].auth.token_ref", i),
				"the environment variable %s, the token for %s, %s", ref, r.Host, why)
		}
	}
	return fmt.Errorf("the environment variable %s %s", ref, why)
}

// Where is the file, line and column of a key, in the file that says it.
func (b *Bottle) Where(path string) string {
	e := b.errorf(path, "")
	return fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
}

// At is an error at a key of the bottle's file.
func (b *Bottle) At(path string, err error) error { return b.errorf(path, "%v", err) }
