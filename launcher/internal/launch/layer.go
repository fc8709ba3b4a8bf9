package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// layerOf is the disk of a bottle's machine.
func layerOf(s bottle.State) vm.Layer { return vm.LayerIn(s.Dir) }

// findLayer looks for a disk that the machine goes on with.
func (b *Bottle) findLayer(r *Ready) (err error) {
	if !b.Spec.Machine || !b.Spec.Resume {
		return nil
	}
	if b.kept, err = layerOf(b.state).Find(b.Spec.Identity); err != nil || b.kept == nil {
		return err
	}
	if !vm.KeepsLayer(r.Driver) {
		return &engine.Problem{
			What:   fmt.Sprintf("the machine's disk is one of another driver's, which %s does not go on with", r.Driver.Name()),
			Remedy: "unset " + vm.DriverVariable,
		}
	}
	if b.kept.Image != b.meta.Images["agent"] {
		b.host.say("machine: its disk was written over another image of the agent's; the home directory goes over to this one, and nothing else")
	}
	return nil
}

// guestLayer is what the machine's init is told of the disk.
func (b *Bottle) guestLayer() wire.GuestLayer {
	sum := sha256.Sum256([]byte(b.meta.Images["agent"]))
	return wire.GuestLayer{Image: hex.EncodeToString(sum[:8]), Kept: b.kept != nil}
}

// keepLayer says that the disk can be gone on with, should the launcher be killed.
func (b *Bottle) keepLayer(r *Ready) error {
	if !vm.KeepsLayer(r.Driver) {
		return nil
	}
	b.kept = &vm.Kept{Identity: b.Spec.Identity, Image: b.meta.Images["agent"]}
	return layerOf(b.state).Keep(*b.kept)
}

// salvageLayer reports whether there is a disk to go on with, and waits until the
// machine that wrote it has ended.
func salvageLayer(ctx context.Context, s bottle.State) (bool, error) {
	l := layerOf(s)
	k, err := l.Find(s.Identity)
	if err != nil || k == nil {
		return false, err
	}
	if err := l.Await(ctx); err != nil {
		return false, fmt.Errorf("its machine has not ended: %w", err)
	}
	return true, nil
}
