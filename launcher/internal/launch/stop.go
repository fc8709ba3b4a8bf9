package launch

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// rollback undoes a start that failed, the state directory included.
func (b *Bottle) rollback(ctx context.Context) error {
	ctx, cancel := undoing(ctx)
	defer cancel()
	var errs []error
	if b.lock != nil { // else the directory is not ours
		errs = append(errs, b.stopMachine(b.Spec.Resume && layerOf(b.state).Noted()))
	}
	if b.meta.Subnet != "" { // the engine was asked for something
		errs = append(errs, b.host.Engine.Remove(ctx, label(b.Spec.Identity)))
	}
	errs = append(errs, b.tokens.Remove())
	if b.lock == nil { // the directory was not ours
		return errors.Join(errs...)
	}
	if err := errors.Join(errs...); err != nil {
		b.lock.Release()
		return err // what is left must stay findable for cleanup
	}
	defer b.lock.Release()
	if b.Spec.Resume { // its home directory and its record are there for another try
		now := time.Now().UTC().Truncate(time.Second)
		b.meta.State, b.meta.StoppedAt, b.meta.PID, b.meta.Tokens = bottle.StateStopped, &now, 0, ""
		return errors.Join(bundle.RemoveKeys(b.state.Dir), b.state.WriteMetadata(b.meta))
	}
	return b.state.Remove()
}

// Stop takes the bottle down: containers, networks, tokens and keys go; the
// metadata, the audit logs and the sidecars' own logs stay until cleanup.
func (b *Bottle) Stop(ctx context.Context) error {
	ctx, cancel := undoing(ctx)
	defer cancel()
	defer b.lock.Release()
	b.meta.State = bottle.StateStopping
	werr := b.state.WriteMetadata(b.meta)
	merr := b.stopMachine(b.unsaved)
	b.saveLogs(ctx)
	err := errors.Join(werr, merr, b.host.Engine.Remove(ctx, label(b.Spec.Identity)), b.tokens.Remove(), bundle.RemoveKeys(b.state.Dir), bundle.RemoveMirrors(b.state.Dir))
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	b.meta.State, b.meta.StoppedAt, b.meta.PID, b.meta.Tokens = bottle.StateStopped, &now, 0, ""
	return b.state.WriteMetadata(b.meta)
}

// saveLogs keeps what the containers printed. A log that cannot be had is not
// worth an error while stopping.
func (b *Bottle) saveLogs(ctx context.Context) {
	if err := os.MkdirAll(b.state.Path("logs"), 0o700); err != nil {
		return
	}
	var wg sync.WaitGroup
	for _, service := range b.parts().services() {
		wg.Go(func() {
			f, err := os.OpenFile(b.state.Path("logs", service+".log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return
			}
			defer f.Close()
			_ = b.host.Engine.SaveLogs(ctx, container(b.Spec.Identity, service), f)
		})
	}
	wg.Wait()
}

// Run runs a command in the bottle as the agent's user and waits for it.
func (b *Bottle) Run(ctx context.Context, argv []string, s engine.Streams) error {
	s.EnvFile = askedFile(b.tokens)
	return b.host.exec(ctx, b.meta, b.machine, "agent", argv, s)
}

// Exec runs a command in a bottle that another launcher holds.
func (h *Host) Exec(ctx context.Context, id bottle.Identity, user string, argv []string, s engine.Streams) error {
	m, err := h.Home.State(id).Metadata()
	if err != nil {
		return err
	}
	s.EnvFile = askedFile(bottle.Tokens{Dir: m.Tokens})
	return h.exec(ctx, m, nil, user, argv, s)
}
