// Package verify proves the boundary of a bottle from inside and from outside: a
// probe tries to get out of the live bottle, as the agent and as root, and what
// became of each attempt is judged where the guest has no hand in it: by
// listeners of the launcher's own on the host, by the sidecars' audit logs, by
// the engine, and by the files of the bottle on the host.
//
// An attempt is held when there is proof that it failed, open when there is any
// sign that it worked, and an error when it could not be made or nobody can say:
// what was not proven does not count as held.
//
// Nothing is sent to an upstream that the bottle does not have to refuse, and
// nothing is aimed at an address that is not the bottle's, this host's, or set
// aside for documentation.
package verify

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// Outcomes of an attempt.
const (
	Held  = "held"
	Open  = "open"
	Error = "error"
)

// Result is one attempt by one user: one object of `verify --json`.
type Result struct {
	ID      string `json:"id"`
	Group   string `json:"group"`
	Attempt string `json:"attempt"`
	// User is agent or root; host for what is looked at from outside alone.
	User   string `json:"user"`
	Result string `json:"result"`
	// Seen is what became of it, and by whose word.
	Seen string `json:"seen"`
}

// Unmade is an attempt that has no object in this bottle.
type Unmade struct {
	ID, Group, Attempt, Why string
}

// Report is all that was found.
type Report struct {
	Results []Result
	Unmade  []Unmade
	Took    time.Duration
}

// Count counts the results of a kind.
func (r *Report) Count(result string) (n int) {
	for _, x := range r.Results {
		if x.Result == result {
			n++
		}
	}
	return n
}

// Attempts counts the attempts that were made, whoever made them.
func (r *Report) Attempts() int {
	ids := map[string]bool{}
	for _, x := range r.Results {
		ids[x.ID] = true
	}
	return len(ids)
}

// Sentence is the report in one line.
func (r *Report) Sentence() string {
	return fmt.Sprintf("%d attempts, made %d times: %d held, %d open, %d errors; %d have no object here; %.1f s",
		r.Attempts(), len(r.Results), r.Count(Held), r.Count(Open), r.Count(Error), len(r.Unmade), r.Took.Seconds())
}

// Err is nil when everything was held.
func (r *Report) Err() error {
	if open, failed := r.Count(Open), r.Count(Error); open+failed > 0 {
		return fmt.Errorf("the bottle does not hold: of %d attempts, %d got through and %d could not be judged", len(r.Results), open, failed)
	}
	if len(r.Results) == 0 {
		return fmt.Errorf("nothing was tried, so nothing is proven")
	}
	return nil
}

// Subject is the bottle to verify.
type Subject struct {
	// Identity labels its containers and networks.
	Identity string
	// Dir is its state directory, or a rendered bundle that runs.
	Dir string
	// Runtime is the agent's, "" for the engine's default; of a virtual machine, what
	// runs it.
	Runtime string
	// Root is the SHA-256 of the one root that the guest may trust, as the
	// launch recorded it; "" takes it from the files of Dir.
	Root string
	// Workspace is the directory of the host that the operator has mounted, "" for
	// none.
	Workspace string
	Engine    *engine.Engine
	// Exec runs a command in the guest; nil is the engine's, in the agent's container.
	Exec func(ctx context.Context, user string, argv []string, s engine.Streams) error
	// OnCard runs a command in the virtual machine that the guest is, as root and
	// with the machine's network card for its descriptor 3. It is nil where the guest
	// is a container.
	OnCard func(ctx context.Context, argv []string, s engine.Streams) error
	// Inspect is what the launch itself checks of the engine.
	Inspect func(context.Context) error
	// Binary is the launcher's, for the guest.
	Binary string
	// Only keeps the attempts with these ids; empty keeps all.
	Only []string
	// Progress takes one line now and then.
	Progress io.Writer
}

// Run makes all attempts. An error says that it could not even begin; otherwise
// what went wrong is in the report.
func Run(ctx context.Context, s Subject) (*Report, error) {
	began := time.Now()
	if err := checkIDs(s.Only); err != nil {
		return nil, err
	}
	if s.OnCard != nil {
		if err := Judges(s.Runtime); err != nil {
			return nil, err
		}
	}
	site, err := survey(ctx, s)
	if err != nil {
		return nil, err
	}
	ear, err := listen(site.hostAddresses())
	if err != nil {
		return nil, err
	}
	defer ear.close()
	site.ear = ear
	p, err := site.install(ctx)
	if err != nil {
		return nil, err
	}
	defer p.remove(ctx)
	plans, unmade := schedule(site, s.Only)
	fmt.Fprintf(s.Progress, "verify: %d attempts from inside %s\n", len(plans), s.Identity)
	if err := p.make(ctx, plans); err != nil {
		return nil, err
	}
	if err := p.onCard(ctx, plans); err != nil {
		return nil, err
	}
	report := &Report{Unmade: unmade}
	e := evidence{site: site, logs: site.logsFor(ctx, plans), link: linkOf(plans)}
	for _, pl := range plans {
		result, seen := e.judge(pl)
		report.Results = append(report.Results, Result{
			ID: pl.attempt.id, Group: pl.attempt.group, Attempt: pl.attempt.words, User: pl.user, Result: result, Seen: seen,
		})
	}
	report.Took = time.Since(began)
	return report, nil
}

// checkIDs refuses ids that no attempt has.
func checkIDs(only []string) error {
	var known []string
	for _, a := range attempts() {
		known = append(known, a.id)
	}
	for _, id := range only {
		if !slices.Contains(known, id) {
			return fmt.Errorf("there is no attempt %q%s; docs/verify.md lists them", id, wire.DidYouMean(id, known))
		}
	}
	return nil
}

// plan is one attempt by one user, and what came back of it.
type plan struct {
	attempt *attempt
	user    string
	token   string
	task    wire.ProbeTask
	report  *wire.ProbeReport
	// died says why there is no report.
	died error
	// found is what a harvest brought, for the attempt that wants one.
	found *found
}

// newToken is what marks one attempt wherever it shows up: letters and digits that
// may stand in a host name, a path or a body, and that no rule takes for a secret.
func newToken(run string, n int) string { return fmt.Sprintf("v%s%03d", run, n) }

func newRun() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// schedule decides which attempts have an object here.
func schedule(s *site, only []string) (plans []*plan, unmade []Unmade) {
	run := newRun()
	for _, a := range attempts() {
		if len(only) > 0 && !slices.Contains(only, a.id) {
			continue
		}
		for _, user := range a.users {
			p := &plan{attempt: a, user: user, token: newToken(run, len(plans))}
			why := a.elsewhere(s)
			var task wire.ProbeTask
			if why == "" {
				task, why = a.plan(&view{site: s, token: p.token, user: user})
			}
			if why != "" {
				unmade = append(unmade, Unmade{a.id, a.group, a.words, why})
				break
			}
			task.ID, task.Token = fmt.Sprint(len(plans)), p.token
			p.task = task
			plans = append(plans, p)
		}
	}
	return plans, unmade
}

// make has the probe make the attempts, both users at once. What leaves a trace in
// a log by its place in the order goes one after the other.
func (p *installed) make(ctx context.Context, plans []*plan) error {
	together, ordered, names := map[string][]*plan{}, map[string][]*plan{}, map[string][]*plan{}
	for _, pl := range plans {
		switch {
		case pl.user == host || pl.task.Tool == linkTool:
		case pl.task.Tool == "web":
			ordered[pl.user] = append(ordered[pl.user], pl)
		case pl.task.Tool == "dns" || pl.task.Tool == "resolve":
			names[pl.user] = append(names[pl.user], pl)
		case pl.task.Tool == harvestTool:
			together["harvest"] = append(together["harvest"], pl)
		default:
			together[pl.user] = append(together[pl.user], pl)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, user := range both {
		g.Go(func() error { return p.run(gctx, user, together[user], true) })
	}
	for _, queue := range []map[string][]*plan{ordered, names} {
		g.Go(func() error {
			for _, user := range both {
				if err := p.run(gctx, user, queue[user], false); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, pl := range together["harvest"] {
		g.Go(func() error { return p.harvest(gctx, pl) })
	}
	return g.Wait()
}
