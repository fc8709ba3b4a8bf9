package command

import (
	"context"
	"time"

	"github.com/bottlesuite/bottle/launcher/internal/launch"
)

// sweepEvery is how often approvals that have ended are taken out. The sidecars
// end them by themselves to the second; this makes their certificates narrower
// and the record complete.
const sweepEvery = time.Second

// keepTime looks after a bottle's queue while it is up: it ends approvals,
// tells the operator of new proposals, and calls end when the bottle is to be
// suspended. Stop ends that.
func (r *run) keepTime(ctx context.Context, b *launch.Bottle, end context.CancelCauseFunc) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d, err := r.desk(b.State())
		if err != nil {
			r.note("launcher: %v", err)
			return
		}
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		bell, failed := r.newBell(b.State()), ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			ended, err := d.Sweep(ctx)
			if err != nil && ctx.Err() == nil && err.Error() != failed { // said once
				failed = err.Error()
				r.note("launcher: an approval has ended, but could not be taken out of the configuration: %v", err)
			}
			if err == nil && len(ended) > 0 {
				failed = ""
			}
			bell.look(ctx)
			if launch.SuspendRequested(b.State()) {
				end(errSuspended)
			}
		}
	}()
	return func() { cancel(); <-done }
}
