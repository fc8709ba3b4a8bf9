package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/subnet"
)

// Ready is what the engine side of a launch was found to be before anything was
// made.
type Ready struct {
	Info   *engine.Info
	Images map[string]string // by reference
	Used   []netip.Prefix
	Pool   netip.Prefix
}

// CheckEngine makes sure that a start can succeed: the engine answers, Compose
// is there, the images are.
func (h *Host) CheckEngine(ctx context.Context, spec *bundle.Spec) (*Ready, error) {
	r := &Ready{}
	var err error
	if r.Pool, err = subnet.ParsePool(h.Getenv(subnet.PoolVariable)); err != nil {
		return nil, &engine.Problem{What: err.Error(), Remedy: "correct it or unset it"}
	}
	if r.Info, err = h.Engine.Info(ctx); err != nil {
		return nil, err
	}
	refs := slices.Sorted(maps.Values(images(spec)))
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { _, err = h.Engine.Compose(gctx); return err })
	g.Go(func() (err error) { r.Images, err = h.Engine.Images(gctx, refs...); return err })
	g.Go(func() (err error) { r.Used, err = h.Engine.Subnets(gctx); return err })
	return r, g.Wait()
}

// Bottle is a launch in progress.
type Bottle struct {
	host   *Host
	Spec   *bundle.Spec
	state  bottle.State
	lock   *bottle.Lock
	tokens bottle.Tokens
	meta   bottle.Metadata
}

// Start brings a bottle up. When it fails it has undone everything.
func (h *Host) Start(ctx context.Context, spec *bundle.Spec, r *Ready, values map[string]secret.String) (*Bottle, error) {
	b := &Bottle{host: h, Spec: spec, state: h.Home.State(spec.Identity)}
	if err := b.start(ctx, r, values); err != nil {
		return nil, errors.Join(err, b.rollback(ctx))
	}
	return b, nil
}

func (b *Bottle) start(ctx context.Context, r *Ready, values map[string]secret.String) error {
	if err := b.claim(r); err != nil {
		return err
	}
	env, err := b.writeTokens(values)
	if err != nil {
		return err
	}
	if err := b.up(ctx, r, env); err != nil {
		return err
	}
	b.host.say("sidecars: waiting until they are ready")
	if err := b.prove(ctx); err != nil {
		return err
	}
	if b.Spec.Resume {
		if err := b.restore(ctx); err != nil {
			return err
		}
	}
	b.meta.State = bottle.StateRunning
	return b.state.WriteMetadata(b.meta)
}

// claim makes the state directory and locks it.
func (b *Bottle) claim(r *Ready) (err error) {
	if b.Spec.Resume {
		b.lock, err = b.state.TryLock()
	} else if err = b.state.Create(); err == nil {
		b.lock, err = b.state.Lock()
	}
	if err != nil {
		return err
	}
	s := b.Spec
	b.meta = bottle.Metadata{
		Version: 1, Identity: s.Identity, Agent: s.Agent.Name, Bottle: s.Bottle.Name, Backend: "docker",
		State: bottle.StateStarting, StartedAt: time.Now().UTC().Truncate(time.Second), PID: os.Getpid(),
		Supervise: s.Bottle.Supervise, Git: len(s.Bottle.Git) > 0, Image: s.Image,
		Runtime: s.Runtime, CA: s.Keys.Fingerprints(), Images: map[string]string{},
	}
	for service, ref := range images(s) {
		if id := r.Images[ref]; id != "" {
			b.meta.Images[service] = id
		}
	}
	return b.state.WriteMetadata(b.meta)
}

// images are the references that a bottle's services need.
func images(s *bundle.Spec) map[string]string {
	refs := map[string]string{"agent": compose.DefaultImages.Agent, "pipelock": compose.DefaultImages.Pipelockd}
	if s.Image != "" {
		refs["agent"] = s.Image
	}
	if len(s.Bottle.Routes) > 0 {
		refs["egress"] = compose.DefaultImages.Egressd
	}
	if len(s.Bottle.Git) > 0 {
		refs["git-gate"] = compose.DefaultImages.Gitgated
	}
	if s.Bottle.Supervise {
		refs["supervise"] = compose.DefaultImages.Superviserd
	}
	return refs
}

// parts is which sidecars stand in the bottle.
func (b *Bottle) parts() parts {
	return parts{routes: len(b.Spec.Bottle.Routes) > 0, git: len(b.Spec.Bottle.Git) > 0, supervise: b.Spec.Bottle.Supervise}
}

// writeTokens puts the tokens on the tmpfs and returns the variables that lead
// Compose to them.
func (b *Bottle) writeTokens(values map[string]secret.String) (env []string, err error) {
	if len(values) == 0 {
		return nil, nil
	}
	root, err := bottle.TokenRoot(b.host.Getenv, b.host.UID)
	if err != nil {
		return nil, err
	}
	t := bottle.TokensOf(root, b.Spec.Identity)
	if err := t.Create(b.host.Home); err != nil {
		return nil, err
	}
	b.tokens = t
	b.meta.Tokens = t.Dir
	for name, v := range values {
		if err := t.Write(name, v.Reveal(), b.Spec.UID, b.Spec.GID); err != nil {
			return nil, err
		}
		env = append(env, name+"_FILE="+t.Path(name))
	}
	return env, nil
}

// maxBlocks bounds how often another subnet is tried.
const maxBlocks = 4

// up writes the bundle and starts it, with another subnet when somebody took
// ours at the same moment.
func (b *Bottle) up(ctx context.Context, r *Ready, env []string) error {
	roots, err := b.Spec.Keys.RootFiles()
	if err != nil {
		return err
	}
	used := append(subnet.HostRoutes(), r.Used...)
	for try := 1; ; try++ {
		if b.Spec.Block, err = subnet.Pick(string(b.Spec.Identity), r.Pool, used); err != nil {
			return err
		}
		b.meta.Subnet = b.Spec.Block.String()
		files, err := b.Spec.Files()
		if err != nil {
			return err
		}
		if err := b.Spec.Write(b.state.Dir, append(files, roots...)); err != nil {
			return err
		}
		if err := b.state.WriteMetadata(b.meta); err != nil {
			return err
		}
		err = b.composeUp(ctx, env)
		if err == nil || try == maxBlocks || !strings.Contains(err.Error(), "overlaps") {
			return err
		}
		used = append(used, b.Spec.Block)
		if err := b.host.Engine.Remove(ctx, label(b.Spec.Identity)); err != nil {
			return err
		}
	}
}

func (b *Bottle) composeUp(ctx context.Context, env []string) error {
	log, err := os.OpenFile(b.state.Path("compose.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the log of Compose: %w", err)
	}
	defer log.Close()
	b.host.say("containers: starting in %s", b.Spec.Block)
	return b.host.Engine.Up(ctx, compose.Project(string(b.Spec.Identity)), b.state.Dir, env, log)
}

// prove waits until the sidecars are ready and checks meanwhile that the engine
// did what it was asked. Only then anything of the agent's runs.
func (b *Bottle) prove(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for service, binary := range b.parts().sidecars() {
		g.Go(func() error { return b.ready(ctx, service, binary) })
	}
	g.Go(func() error {
		ns, err := b.host.Engine.Networks(ctx, label(b.Spec.Identity))
		if err != nil {
			return err
		}
		cs, err := b.host.Engine.Containers(ctx, label(b.Spec.Identity))
		if err != nil {
			return err
		}
		roots := []string{b.state.Dir}
		if b.tokens.Dir != "" {
			roots = append(roots, b.tokens.Dir)
		}
		if err := expect(b.parts(), roots...).check(cs, ns); err != nil {
			return fmt.Errorf("the engine did not isolate the bottle as it was asked to, so it was not started: %w", err)
		}
		return nil
	})
	return g.Wait()
}

// readyTime bounds the start of a sidecar.
const readyTime = 20 * time.Second

// ready polls a sidecar's own health check, and its state, so that one that
// died is not waited for.
func (b *Bottle) ready(ctx context.Context, service, binary string) error {
	name := container(b.Spec.Identity, service)
	deadline := time.Now().Add(readyTime)
	for {
		err := b.host.Engine.Healthy(ctx, name, binary)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		cs, ierr := b.host.Engine.Containers(ctx, "com.docker.compose.project="+compose.Project(string(b.Spec.Identity)))
		if ierr != nil {
			return ierr
		}
		for _, c := range cs {
			if strings.TrimPrefix(c.Name, "/") == name && !c.State.Running {
				return fmt.Errorf("%s ended with status %d right after its start; its last lines were:\n%s",
					service, c.State.ExitCode, indent(b.host.Engine.Tail(ctx, name, 5)))
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s (%w); its last lines were:\n%s", service, readyTime, err, indent(b.host.Engine.Tail(ctx, name, 5)))
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func indent(s string) string {
	if s == "" {
		s = "(it printed nothing)"
	}
	return "  " + strings.ReplaceAll(s, "\n", "\n  ")
}
