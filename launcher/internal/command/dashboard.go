package command

import (
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/dashboard"
	"github.com/bottlesuite/bottle/launcher/internal/decide"
)

func (r *run) dashboardCommand() *cli.Command {
	return &cli.Command{
		Name: "dashboard", Usage: "watch the bottles, and decide what agents ask for",
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			if !r.interactive() {
				return mendf("the dashboard needs a terminal; scripts use `launcher proposals`")
			}
			r.buildNetwork = "none"
			watch := &watch{run: r, seen: map[string]map[string]int64{}, lines: map[string][]audit.Line{}}
			var env []string
			for _, name := range []string{"TERM", "COLORTERM", "NO_COLOR"} {
				if v := r.getenv(name); v != "" {
					env = append(env, name+"="+v)
				}
			}
			return dashboard.Run(c.Context, dashboard.Actions{
				Load: watch.load, Approve: r.approveShown, Reject: r.rejectShown,
				Edit: func(ctx context.Context, p wire.Proposal, in io.Reader, out io.Writer) (*wire.Proposal, error) {
					editing := *r
					editing.stdio = Stdio{In: in, Out: out, Err: out}
					return editing.editor(ctx, p)
				},
			}, r.stdio.In, r.stdio.Out, env)
		},
	}
}

// approveShown approves a proposal by its id, which names its contents: what is
// approved is what was on the screen.
func (r *run) approveShown(ctx context.Context, q dashboard.Question, a decide.Approval) (string, error) {
	d, _, err := r.proposal(q.Proposal.ID)
	if err != nil {
		return "", err
	}
	dec, err := d.Approve(ctx, q.Proposal.ID, a)
	if err != nil {
		return "", err
	}
	return "Approved " + dec.Scope + ": " + dec.Proposal, nil
}

func (r *run) rejectShown(_ context.Context, q dashboard.Question, reason string) (string, error) {
	d, _, err := r.proposal(q.Proposal.ID)
	if err != nil {
		return "", err
	}
	_, err = d.Reject(q.Proposal.ID, reason)
	return "Rejected " + q.Proposal.ID, err
}

// watch reads what the dashboard shows. It is used by one goroutine at a time.
type watch struct {
	run   *run
	seen  map[string]map[string]int64 // how far the logs of a bottle were read
	lines map[string][]audit.Line     // those of the last minute
}

const maxDenials = 3 // of a bottle, on the screen

func (w *watch) load(ctx context.Context) dashboard.Snapshot {
	var snap dashboard.Snapshot
	host, err := w.run.host()
	if err != nil {
		return dashboard.Snapshot{Err: err}
	}
	ids, err := host.Home.Identities()
	if err != nil {
		return dashboard.Snapshot{Err: err}
	}
	var all []bottle.Metadata
	for _, id := range ids {
		if m, err := host.Home.State(id).Current(); err == nil && m.State != bottle.StateStopped {
			all = append(all, m)
		}
	}
	if _, err := host.Standing(ctx, all); err != nil {
		snap.Err = err
	}
	for _, m := range all {
		s := host.Home.State(m.Identity)
		snap.Bottles = append(snap.Bottles, dashboard.Bottle{
			Identity: string(m.Identity), Bottle: m.Bottle, State: m.State, Traffic: w.traffic(s),
		})
		qs, err := w.questions(s, m)
		snap.Questions, snap.Err = append(snap.Questions, qs...), cmp.Or(snap.Err, err)
	}
	return snap
}

func (w *watch) questions(s bottle.State, m bottle.Metadata) ([]dashboard.Question, error) {
	if !m.Supervise {
		return nil, nil
	}
	d, err := w.run.desk(s)
	if err != nil {
		return nil, err
	}
	pending, err := decide.Box(s).Pending(time.Now())
	var out []dashboard.Question
	for _, p := range pending {
		lines, derr := d.Diff(p)
		out, err = append(out, dashboard.Question{Identity: string(m.Identity), Proposal: p, Lines: lines}), cmp.Or(err, derr)
	}
	return out, err
}

// traffic sums up the last minute of a bottle's proxies.
func (w *watch) traffic(s bottle.State) dashboard.Traffic {
	id := string(s.Identity)
	if w.seen[id] == nil {
		w.seen[id] = map[string]int64{}
	}
	lines, err := newLines(s, w.seen[id])
	if err != nil {
		return dashboard.Traffic{} // no log yet
	}
	since := time.Now().Add(-time.Minute).UTC().Format("2006-01-02T15:04:05.000000Z")
	w.lines[id] = slices.DeleteFunc(append(w.lines[id], lines...), func(l audit.Line) bool { return l.Time < since || l.Decision == "" })
	// The agent's proxy counts; what stands behind it sees the same again.
	front := "pipelockd"
	if slices.ContainsFunc(w.lines[id], func(l audit.Line) bool { return l.Component == "egressd" }) {
		front = "egressd"
	}
	var t dashboard.Traffic
	for _, l := range w.lines[id] {
		switch {
		case l.Decision == "deny" && l.Component != "launcher":
			t.Denied++
			t.Denials = append(t.Denials, l)
		case l.Component == front:
			t.Allowed++
		}
		if l.Component == front {
			t.BytesIn, t.BytesOut = t.BytesIn+l.BytesIn, t.BytesOut+l.BytesOut
		}
	}
	t.Denials = t.Denials[max(0, len(t.Denials)-maxDenials):]
	return t
}
