package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// BenchmarkSubmit is one question on its way into the queue, its decision, and the
// operator's look at what waits, every file synced to disk.
func BenchmarkSubmit(b *testing.B) {
	box := Box{Proposals: b.TempDir(), Decisions: b.TempDir()}
	now := time.Now()
	d := &Desk{Box: box, Now: func() time.Time { return now }}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := egress(fmt.Sprintf("h%d.example", i))
		p.Bottle = "demo-abcde"
		taken, _, err := d.Submit(p, func(wire.Proposal) error { return nil })
		if err == nil {
			err = box.Decide(wire.Decision{Version: wire.Version, Proposal: taken.ID, Verdict: wire.Rejected, DecidedAt: wire.At(now)})
		}
		if err != nil {
			b.Fatal(err)
		}
		if _, err := box.Pending(now); err != nil {
			b.Fatal(err)
		}
		now = now.Add(Lifetime + time.Minute) // the next one prunes this one
	}
}
