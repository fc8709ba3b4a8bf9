package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// Salvage prepares a launch whose launcher is gone for [Host.Resume]: it keeps
// the home directory of the agent's container, should there be one, or waits for the
// disk of the agent's machine, and removes what is left of the launch but its state. An error says that there is nothing
// to resume.
func (h *Host) Salvage(ctx context.Context, s bottle.State) error {
	lock, err := s.TryLock()
	if err != nil {
		return err
	}
	defer lock.Release()
	m, err := s.Metadata()
	if err != nil {
		return err
	}
	disk, err := salvageLayer(ctx, s)
	if err != nil {
		return err
	}
	cs, err := h.Engine.Containers(ctx, label(s.Identity))
	if err != nil {
		return err
	}
	for _, c := range cs {
		if c.Component() != "agent" {
			continue
		}
		if filesInside(m) {
			if c.State.Running {
				err = h.keepInside(ctx, s, m, nil)
			}
			if err != nil {
				return err
			}
			continue // where it does not run, what it wrote is gone
		}
		if c.State.Running {
			if err := h.Engine.Kill(ctx, container(s.Identity, "agent")); err != nil {
				return err
			}
		}
		if err := h.Snapshot(ctx, s); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.Path(snapshotFile)); err != nil && !disk {
		return fmt.Errorf("%s left no home directory to go on with; start the agent anew", s.Identity)
	}
	var errs []error
	if root, err := bottle.TokenRoot(h.Getenv, h.UID); err == nil {
		errs = append(errs, bottle.TokensOf(root, s.Identity).Remove())
	}
	return errors.Join(append(errs, h.Engine.Remove(ctx, label(s.Identity)))...)
}

// restore unpacks the kept home directory inside the guest, as the agent: whatever
// the archive holds, it can touch nothing but what the agent could.
func (b *Bottle) restore(ctx context.Context) error {
	f, err := os.Open(b.state.Path(snapshotFile))
	if err != nil {
		return fmt.Errorf("cannot read the kept home directory: %w", err)
	}
	defer f.Close()
	err = b.host.exec(ctx, b.meta, b.machine, "agent",
		[]string{"tar", "-x", "-f", "-", "-C", "/home", "--no-same-owner"}, engine.Streams{In: f, Out: io.Discard, Err: io.Discard})
	var status engine.ExitStatus
	if errors.As(err, &status) {
		b.host.say("the kept home directory came back in part (tar ended with status %d)", int(status))
		return nil
	}
	return err
}
