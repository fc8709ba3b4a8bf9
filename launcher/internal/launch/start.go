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
	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// Ready is what the engine side of a launch was found to be before anything was
// made.
type Ready struct {
	Info   *engine.Info
	Images map[string]string // by reference
	Used   []netip.Prefix
	Pool   netip.Prefix
	// Kit, Driver and what its machines run on are for a virtual machine.
	Kit    *vm.Kit
	Driver vm.Driver
	RunsOn string
}

// CheckEngine makes sure that a start can succeed: the engine answers, the images
// are there.
func (h *Host) CheckEngine(ctx context.Context, spec *bundle.Spec) (*Ready, error) {
	r := &Ready{}
	var err error
	if r.Pool, err = subnet.ParsePool(h.Getenv(subnet.PoolVariable)); err != nil {
		return nil, &engine.Problem{What: err.Error(), Remedy: "correct it or unset it"}
	}
	refs := slices.Sorted(maps.Values(images(spec)))
	var down error // the engine's own complaint, which says most
	var g errgroup.Group
	g.Go(func() error { r.Info, down = h.Engine.Info(ctx); return down })
	g.Go(func() (err error) { r.Images, err = h.Engine.Images(ctx, refs...); return err })
	g.Go(func() (err error) { r.Used, err = h.Engine.Subnets(ctx); return err })
	if err := g.Wait(); down == nil && err != nil {
		return nil, err
	}
	if down != nil || !spec.Machine {
		return r, down
	}
	err = h.checkMachine(ctx, r)
	spec.Datagrams = err == nil && vm.OpensSocket(r.Driver)
	return r, err
}

// Bottle is a launch in progress.
type Bottle struct {
	host   *Host
	Spec   *bundle.Spec
	state  bottle.State
	lock   *bottle.Lock
	tokens bottle.Tokens
	meta   bottle.Metadata
	// audited is how long each sidecar's audit log was before this start.
	audited map[string]int64
	// machine is the agent's virtual machine, if it is in one.
	machine *vm.Machine
	// kept is the disk that the machine can be gone on with, should there be one;
	// unsaved says that the disk alone has what the agent wrote.
	kept    *vm.Kept
	unsaved bool
	clock   *clock
}

// Start brings a bottle up. When it fails it has undone everything.
func (h *Host) Start(ctx context.Context, spec *bundle.Spec, r *Ready, values map[string]secret.String) (*Bottle, error) {
	b := &Bottle{host: h, Spec: spec, state: h.Home.State(spec.Identity), clock: newClock()}
	defer b.clock.close()
	if err := b.start(ctx, r, values); err != nil {
		return nil, errors.Join(err, b.rollback(ctx))
	}
	return b, nil
}

func (b *Bottle) start(ctx context.Context, r *Ready, values map[string]secret.String) error {
	if err := b.claim(r); err != nil {
		return err
	}
	if err := b.findLayer(r); err != nil {
		return err
	}
	env, err := b.writeTokens(values)
	if err != nil {
		return err
	}
	b.audited = map[string]int64{}
	for service := range b.parts().sidecars() {
		if fi, err := os.Stat(b.auditLog(service)); err == nil { // of the launch that is resumed
			b.audited[service] = fi.Size()
		}
	}
	if err := b.up(ctx, r, env); err != nil {
		return err
	}
	if err := b.prove(ctx); err != nil {
		return err
	}
	b.clock.lap("proven")
	if b.Spec.Machine {
		if err := b.boot(ctx, r); err != nil {
			return err
		}
		b.clock.lap("machine ready")
	}
	if b.Spec.Resume && b.kept == nil {
		if err := b.restore(ctx); err != nil {
			return err
		}
	}
	if err := b.provision(ctx); err != nil {
		return err
	}
	if b.Spec.Machine {
		if err := b.keepLayer(r); err != nil {
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
		Version: 1, Identity: s.Identity, Name: s.Name, Agent: s.Agent.Name, Bottle: s.Bottle.Name, Backend: Docker,
		State: bottle.StateStarting, StartedAt: time.Now().UTC().Truncate(time.Second), PID: os.Getpid(),
		Supervise: s.Bottle.Supervise, Git: len(s.Bottle.Git) > 0, Image: s.Image,
		Workspace: s.Workspace, Mounted: s.Mounted,
		Runtime: s.Runtime, CA: s.Keys.Fingerprints(), Images: map[string]string{},
	}
	if s.Machine {
		b.meta.Backend, b.meta.Runtime = Smolmachines, r.monitor()
	}
	for service, ref := range images(s) {
		if id := r.Images[ref]; id != "" {
			b.meta.Images[service] = id
		}
	}
	s.ImageIDs = b.meta.Images
	return b.state.WriteMetadata(b.meta)
}

// images are the references that a bottle's services need.
func images(s *bundle.Spec) map[string]string {
	refs := map[string]string{"agent": s.AgentImage(), "pipelock": compose.DefaultImages.Pipelockd}
	if s.Machine {
		refs["gateway"] = compose.DefaultImages.Gateway
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
	return parts{routes: len(b.Spec.Bottle.Routes) > 0, git: len(b.Spec.Bottle.Git) > 0, supervise: b.Spec.Bottle.Supervise, machine: b.Spec.Machine}
}

// writeTokens puts the tokens on the tmpfs and returns the variables that lead to
// them.
func (b *Bottle) writeTokens(values map[string]secret.String) (env map[string]string, err error) {
	if len(values)+len(b.Spec.Asked) == 0 {
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
	env = map[string]string{}
	for name, v := range values {
		if err := t.Write(name, v.Reveal(), b.Spec.UID, b.Spec.GID); err != nil {
			return nil, err
		}
		env[name+"_FILE"] = t.Path(name)
	}
	if len(b.Spec.Asked) > 0 {
		return env, t.Write(asked, askedLines(b.Spec.Asked), os.Getuid(), os.Getgid())
	}
	return env, nil
}

// up writes the bundle and starts it, with another subnet when somebody took
// ours at the same moment.
func (b *Bottle) up(ctx context.Context, r *Ready, env map[string]string) error {
	roots, err := b.Spec.Keys.RootFiles()
	if err != nil {
		return err
	}
	used := append(subnet.HostRoutes(), r.Used...)
	return subnet.Claim(string(b.Spec.Identity), r.Pool, used, func(block netip.Prefix) (taken bool, err error) {
		b.Spec.Block, b.meta.Subnet = block, block.String()
		files, err := b.Spec.Files()
		if err != nil {
			return false, err
		}
		if err := b.Spec.Write(b.state.Dir, append(files, roots...)); err != nil {
			return false, err
		}
		if err := b.state.WriteMetadata(b.meta); err != nil {
			return false, err
		}
		if err = b.bringUp(ctx, env); err == nil || !strings.Contains(err.Error(), "overlaps") {
			return false, err
		}
		if rerr := b.host.Engine.Remove(ctx, label(b.Spec.Identity)); rerr != nil {
			return false, rerr
		}
		return true, err
	})
}

// prove waits until the sidecars are ready and checks meanwhile that the engine
// did what it was asked. Only then anything of the agent's runs.
func (b *Bottle) prove(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for service := range b.parts().sidecars() {
		g.Go(func() error { return b.ready(ctx, service) })
	}
	g.Go(func() error {
		roots := []string{b.state.Dir}
		if b.tokens.Dir != "" {
			roots = append(roots, b.tokens.Dir)
		}
		if b.Spec.Mounted {
			roots = append(roots, b.Spec.Workspace)
		}
		ns, err := b.host.Engine.Networks(ctx, label(b.Spec.Identity))
		if err != nil {
			return err
		}
		b.shield(ns)
		if err := b.host.isolated(ctx, string(b.Spec.Identity), ns, b.parts(), roots...); err != nil {
			return fmt.Errorf("the engine did not isolate the bottle as it was asked to, so it was not started: %w", err)
		}
		return nil
	})
	return g.Wait()
}

func indent(s string) string {
	if s == "" {
		s = "(it printed nothing)"
	}
	return "  " + strings.ReplaceAll(s, "\n", "\n  ")
}
