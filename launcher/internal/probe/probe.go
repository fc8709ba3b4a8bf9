//go:build linux

// Package probe is what `launcher verify` runs inside a bottle: it tries what it
// is told and says what it saw, and judges nothing. It is the launcher's own
// static binary, copied in and removed again, so that its version always
// matches and nothing of the guest's is needed.
//
// It takes one [wire.ProbeJob] on its standard input and prints one
// [wire.ProbeReport] a line. Whoever owns the guest owns the probe: what it says
// of the guest is believed no further than that, and what can be seen from
// outside is judged there.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// patience bounds each single try, and crowd how many are made at once. Both are set
// before the first.
var (
	patience = 1500 * time.Millisecond
	crowd    = 512
)

// For a guest that is emulated.
const (
	longPatience = 8 * time.Second
	smallCrowd   = 16
)

// tool makes one task. An error says that the attempt could not be made.
type tool func(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error

// tools are what a task may name.
var tools = map[string]tool{
	"tcp": dialTCP, "udp": sendUDP, "vsock": dialVsock, "broadcast": broadcast, "icmp": echo, "socket": openSockets,
	"dns": ask, "resolve": resolve,
	"web":   converse,
	"facts": readFacts,
	"power": usePowers,
	"write": writeFiles,
	"find":  findFiles,
	"trust": listTrust,
	"unix":  connectUnix,
	"read":  readFiles,
	"raw":   sayRaw,
	"mcp":   callTools,
	"link":  sendFrames,
}

// Run makes a job.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	var job wire.ProbeJob
	dec := json.NewDecoder(in)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&job); err != nil {
		return fmt.Errorf("the probe's job cannot be read: %w", err)
	}
	if job.Version != wire.Version {
		return fmt.Errorf("the probe's job has the version %d instead of %d", job.Version, wire.Version)
	}
	if job.Slow {
		patience, crowd = longPatience, smallCrowd
	}
	w := &reporter{enc: json.NewEncoder(out)}
	if job.Together {
		var all sync.WaitGroup
		for _, t := range job.Tasks {
			all.Go(func() { w.report(try(ctx, t)) })
		}
		all.Wait()
	} else {
		for _, t := range job.Tasks {
			w.report(try(ctx, t))
		}
	}
	w.report(wire.ProbeReport{ID: wire.ProbeEnd, Seen: []wire.ProbeSeen{{What: fmt.Sprint(len(job.Tasks))}}})
	return errors.Join(w.err, ctx.Err())
}

func try(ctx context.Context, t wire.ProbeTask) (r wire.ProbeReport) {
	r.ID = t.ID
	defer func(began time.Time) { r.Millis = time.Since(began).Milliseconds() }(time.Now())
	use, ok := tools[t.Tool]
	if !ok {
		r.Unmade = fmt.Sprintf("the probe has no tool %q", t.Tool)
		return r
	}
	if err := use(ctx, t, &r); err != nil {
		r.Unmade = err.Error()
	}
	return r
}

// reporter writes whole lines, whoever reports.
type reporter struct {
	mu  sync.Mutex
	enc *json.Encoder
	err error
}

func (w *reporter) report(r wire.ProbeReport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.enc.Encode(r); err != nil && w.err == nil {
		w.err = fmt.Errorf("the probe cannot report: %w", err)
	}
}

// each tries all targets at once and keeps their order.
func each(t wire.ProbeTask, r *wire.ProbeReport, f func(target string) (open bool, what string)) {
	r.Seen = make([]wire.ProbeSeen, len(t.Targets))
	var all sync.WaitGroup
	room := make(chan struct{}, crowd)
	for i, target := range t.Targets {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			open, what := f(target)
			r.Seen[i] = wire.ProbeSeen{Target: target, Open: open, What: what}
		})
	}
	all.Wait()
}
