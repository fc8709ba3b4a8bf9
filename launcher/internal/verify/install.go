package verify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// probeTime bounds one run of the probe. A machine may be emulated, which is slow.
func (s *site) probeTime() time.Duration {
	if s.ownKernel() {
		return 6 * time.Minute
	}
	return time.Minute
}

// installed is the probe in the guest.
type installed struct {
	site *site
	dir  string
}

// install copies the launcher into the guest, through the standard input of a
// shell there: that is the one way in that every runtime has.
func (s *site) install(ctx context.Context) (*installed, error) {
	f, err := os.Open(s.Binary)
	if err != nil {
		return nil, fmt.Errorf("cannot copy the probe: %w", err)
	}
	defer f.Close()
	p := &installed{site: s, dir: "/.bottle-probe-" + newRun()}
	var complaint bytes.Buffer
	// The directory is root's, so that the agent's processes do not exchange it.
	err = s.exec(ctx, "root", []string{"/bin/sh", "-c",
		"umask 022 && mkdir -m 0755 " + p.dir + " && cat >" + p.program() + " && chmod 0555 " + p.program()},
		engine.Streams{In: f, Out: io.Discard, Err: &complaint})
	if err != nil {
		p.remove(ctx)
		return nil, fmt.Errorf("cannot copy the probe into the bottle: %w %s", err, plain.Line(complaint.String()))
	}
	return p, nil
}

// exec runs a command in the guest.
func (s *site) exec(ctx context.Context, user string, argv []string, streams engine.Streams) error {
	if s.Exec != nil {
		return s.Exec(ctx, user, argv, streams)
	}
	return s.Engine.Exec(ctx, strings.TrimPrefix(s.containers[agent].Name, "/"), user, argv, streams)
}

func (p *installed) program() string { return p.dir + "/launcher" }

// remove takes the probe out again.
func (p *installed) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	_ = p.site.exec(ctx, "root", []string{"rm", "-rf", p.dir}, engine.Streams{Out: io.Discard, Err: io.Discard})
}

// run makes plans in one run of the probe, as a user.
func (p *installed) run(ctx context.Context, user string, plans []*plan, together bool) error {
	return p.runBy(ctx, func(ctx context.Context, argv []string, s engine.Streams) error {
		return p.site.exec(ctx, user, argv, s)
	}, plans, together)
}

// runBy makes plans in one run of the probe. That it died is a finding about the
// plans that it left, not an error.
func (p *installed) runBy(ctx context.Context, exec func(context.Context, []string, engine.Streams) error, plans []*plan, together bool) error {
	if len(plans) == 0 {
		return nil
	}
	job := wire.ProbeJob{Version: wire.Version, Together: together && p.site.machine == nil, Slow: p.site.machine != nil}
	byID := map[string]*plan{}
	for _, pl := range plans {
		job.Tasks = append(job.Tasks, pl.task)
		byID[pl.task.ID] = pl
	}
	in, err := json.Marshal(job)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, p.site.probeTime())
	defer cancel()
	var out, complaint limited
	err = exec(bounded, []string{p.program(), "probe"},
		engine.Streams{In: bytes.NewReader(in), Out: &out, Err: &complaint})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ended := readReports(&out.held, byID)
	for _, pl := range plans {
		switch {
		case pl.report != nil: // it lived that long
		case err != nil:
			pl.died = fmt.Errorf("the probe died: %w %s", err, plain.Line(complaint.String()))
		case !ended:
			pl.died = errors.New("the probe ended before its last line")
		}
	}
	return nil
}

// readReports gives each plan its report, the first that names it, and tells
// whether the last line was there. What it reads comes from the guest, so it
// takes nothing else from it.
func readReports(in io.Reader, plans map[string]*plan) (ended bool) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxOutput)
	for lines.Scan() {
		var r wire.ProbeReport
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if dec.Decode(&r) != nil {
			return false
		}
		if r.ID == wire.ProbeEnd {
			return !lines.Scan()
		}
		if pl := plans[r.ID]; pl != nil && pl.report == nil {
			pl.report = &r
		}
	}
	return false
}

// maxOutput bounds what a probe can make the launcher hold.
const maxOutput = 16 << 20

// limited is a buffer that overflows. The buffer is not embedded: its other ways of
// taking bytes know no bound.
type limited struct{ held bytes.Buffer }

// Write implements [io.Writer].
func (l *limited) Write(p []byte) (int, error) {
	if l.held.Len()+len(p) > maxOutput {
		return 0, errors.New("the probe says too much")
	}
	return l.held.Write(p)
}

func (l *limited) String() string { return l.held.String() }
