package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

// checkSecrets judges what the pipelock section says of secrets: values that must
// not leave, planted ones, and what becomes of what is found.
func (b *Bottle) checkSecrets(*bottleKeys) error {
	p := &b.Pipelock
	for i, name := range p.Known {
		if !envName.MatchString(name) {
			at := fmt.Sprintf("pipelock.known[%d]", i)
			return b.errorf(at, "%q cannot name a variable of your environment, whose value must not leave; use letters, digits and underscores, a letter first", name)
		}
	}
	for i, name := range p.Canaries {
		at := fmt.Sprintf("pipelock.canaries[%d]", i)
		switch {
		case !envName.MatchString(name):
			return b.errorf(at, "%q cannot name an environment variable; use letters, digits and underscores, a letter first", name)
		case slices.Contains(boundVars, strings.ToLower(name)):
			return b.errorf(at, "%s is set by the bottle itself; give the canary another name", name)
		case slices.ContainsFunc(b.Env, func(v EnvVar) bool { return v.Name == name }) || slices.Contains(b.TokenRefs(), name):
			return b.errorf(at, "%s is set in env already, or is a token's; give the canary another name", name)
		case slices.Contains(p.Canaries[:i], name):
			return b.errorf(at, "the canary %s stands twice; keep one", name)
		}
	}
	for i, a := range p.Actions {
		at := fmt.Sprintf("pipelock.actions[%d]", i)
		if _, ok := secretscan.ParseAction(a.Action); !ok {
			return b.errorf(at, "the action %q is none of block, redact, warn and ignore", a.Action)
		}
		for _, r := range a.Rules {
			if !secretscan.RuleExists(r) {
				return b.errorf(at, "no rule is called %q; `pipelockd rules` lists them", r)
			}
		}
		if _, err := route.NewHostSet(a.Hosts); err != nil {
			return b.errorf(at, "%s: %v", at, err)
		}
	}
	if l := p.Limits; l.RequestsPerMinute < 0 || l.Burst < 0 {
		return b.errorf("pipelock.limits", "a limit is 0, for none, or more")
	}
	return nil
}

// KnownValues looks up the values that must not leave, by their names.
func (b *Bottle) KnownValues(lookup func(string) (string, bool)) (map[string]string, error) {
	out := map[string]string{}
	for i, name := range b.Pipelock.Known {
		v, ok := lookup(name)
		if !ok || v == "" {
			return nil, b.errorf(fmt.Sprintf("pipelock.known[%d]", i),
				"the environment variable %s, whose value must not leave, is not set; export it, or remove it here", name)
		}
		out[name] = v
	}
	return out, nil
}
