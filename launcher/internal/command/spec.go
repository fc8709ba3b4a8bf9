package command

import (
	"context"
	"fmt"
	"maps"
	"os"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
	"github.com/bottlesuite/bottle/launcher/internal/preset"
)

// spec reads what a bottle is made of, before anything is made.
func (r *run) spec(ctx context.Context, agent string) (*manifest.Launch, *bundle.Spec, error) {
	l, err := r.load(agent)
	if err != nil {
		return nil, nil, err
	}
	if err := takePresets(ctx, l.Bottle, preset.Here(r.env)); err != nil {
		return nil, nil, err
	}
	env, err := l.Bottle.ResolveEnv(r.lookup)
	if err != nil {
		return nil, nil, err
	}
	trust, err := pki.CollectTrust(r.getenv)
	if err != nil {
		return nil, nil, mend(err)
	}
	if file := l.Bottle.Pipelock.ExtraCA; file != "" {
		if err := trust.AddFile("extra_ca", file); err != nil {
			return nil, nil, l.Bottle.At("pipelock.extra_ca", err)
		}
	}
	home, err := r.home()
	if err != nil {
		return nil, nil, err
	}
	s := &bundle.Spec{Identity: bottle.NewIdentity(agent), Agent: l.Agent, Bottle: l.Bottle, Env: env, Owner: home.Dir, Trust: trust}
	s.UID, s.GID = bundle.SidecarUser(os.Getuid(), os.Getgid())
	return l, s, r.secrets(s)
}

// secrets takes up the values that must not leave, and plants the canaries.
func (r *run) secrets(s *bundle.Spec) error {
	known, err := s.Bottle.KnownValues(r.lookup)
	if err != nil {
		return err
	}
	s.Known, s.Canaries = bundle.Secrets{}, map[string]string{}
	for name, v := range known {
		s.Known[name] = secret.New(v)
	}
	for _, name := range s.Bottle.Pipelock.Canaries {
		s.Canaries[name] = bundle.NewCanary()
		s.Env[name] = s.Canaries[name]
	}
	return nil
}

// minToken is the length of the shortest token that can be told from ordinary
// text, and so be scrubbed from responses.
const minToken = 8

// tokens reads the tokens that routes and git remotes name from the environment,
// and the remotes' keys from their files.
func (r *run) tokens(b *manifest.Bottle) (map[string]secret.String, error) {
	values := map[string]secret.String{}
	var missing error
	for _, ref := range b.TokenRefs() {
		v := r.env[ref]
		err := secret.Check(v)
		switch {
		case v == "":
			missing = b.MissingToken(ref, "is not set; export it before the start")
		case err != nil:
			missing = b.MissingToken(ref, "cannot be sent ("+err.Error()+"); correct it")
		case len(v) < minToken:
			missing = b.MissingToken(ref, fmt.Sprintf("is shorter than %d bytes, which cannot be scrubbed from responses; use a longer one", minToken))
		default:
			values[ref] = secret.New(v)
		}
	}
	git, err := b.ReadGitSecrets(r.lookup)
	if missing == nil {
		missing = err
	}
	maps.Copy(values, git)
	return values, missing
}
