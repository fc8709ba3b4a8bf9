package command

import (
	"context"
	"fmt"
	"sync"

	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/preset"
)

// takePresets finds out what the presets of a bottle stand for on a machine, all
// at once because clients are slow to start, and adds them in their order.
func takePresets(ctx context.Context, b *manifest.Bottle, m *preset.Machine) error {
	found := make([]*preset.Preset, len(b.Presets))
	errs := make([]error, len(b.Presets))
	var all sync.WaitGroup
	for i, name := range b.Presets {
		all.Go(func() { found[i], errs[i] = preset.Resolve(ctx, name, m) })
	}
	all.Wait()
	for i := range b.Presets {
		if errs[i] != nil {
			return b.At(fmt.Sprintf("egress.presets[%d]", i), errs[i])
		}
		if err := b.Take(i, found[i]); err != nil {
			return err
		}
	}
	return nil
}
