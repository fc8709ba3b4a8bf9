// Package decide is the operator's side of a bottle's queue: it reads what the
// agent asks for, says in words what that would change, and carries out what the
// operator decides. The commands and the dashboard stand on it.
//
// Nothing in a proposal is trusted. A decision is recorded in the launcher's own
// audit log before anything is changed, and told to the agent after the change is
// in force; a change that cannot be put in force leaves the proposal undecided.
package decide

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/apply"
)

// Desk is where the proposals of one bottle are decided.
type Desk struct {
	Policy *apply.Desk
	// Manifest writes an approval into the manifest of the bottle called name.
	Manifest func(name string, g wire.Grant) error
	// Capability builds the image that a capability-block asks for.
	Capability func(ctx context.Context, s bottle.State, lines string) error
	// Suspend asks for the end of the session.
	Suspend func(bottle.State) error
}

func (d *Desk) state() bottle.State { return d.Policy.State }

// Box is the queue of a launch.
func Box(s bottle.State) queue.Box {
	return queue.Box{Proposals: s.Path("queue", "proposals"), Decisions: s.Path("queue", "decisions")}
}

// Approval is how far an approval reaches.
type Approval struct {
	Scope string
	// For is how long, with [wire.ScopeFor].
	For time.Duration
	// Edited replaces what was asked for, if set.
	Edited *wire.Proposal
	// Reason is what the operator wants the agent to know.
	Reason string
}

// Grant is what an approval of a proposal puts into force.
func Grant(p wire.Proposal, a Approval, now time.Time) wire.Grant {
	g := wire.Grant{Proposal: p.ID, GrantedAt: wire.At(now), Scope: a.Scope, Route: p.Route, Host: p.Host, Finding: p.Finding}
	if a.Scope == wire.ScopeFor {
		g.Expires = wire.At(now.Add(a.For + time.Second - 1)) // whole seconds, never shorter
	}
	return g
}

// Diff says in words what a proposal would change at present.
func (d *Desk) Diff(p wire.Proposal) ([]change.Line, error) {
	if p.Tool == wire.ToolCapability {
		return []change.Line{
			{Text: "runs the lines of the Dockerfile as root in a build on this host, then ends this session and resumes the bottle with the new image", Alarm: true},
		}, nil
	}
	current, err := d.Policy.Current()
	if err != nil {
		return nil, err
	}
	lines := change.Describe(current, wire.Grant{Route: p.Route, Host: p.Host, Finding: p.Finding})
	if p.Finding != nil {
		lines = append(lines, d.evidence(*p.Finding)...)
	}
	return lines, nil
}

// pending reads a proposal that is still to be decided.
func (d *Desk) pending(id string) (wire.Proposal, error) {
	box := Box(d.state())
	p, err := box.Proposal(id)
	if err != nil {
		return p, err
	}
	switch dec, err := box.Decision(id); {
	case err != nil:
		return p, err
	case dec != nil:
		return p, fmt.Errorf("%s: %w (%s)", id, queue.ErrDecided, dec.Verdict)
	case queue.Expired(p, time.Now()):
		return p, fmt.Errorf("%s waited for longer than a week and has ended; the agent may ask again", id)
	case p.Bottle != string(d.state().Identity):
		return p, fmt.Errorf("%s was made for another bottle, %s", id, queue.Clean(p.Bottle))
	}
	return p, nil
}

// Approve puts what a proposal asks for into force and tells the agent.
func (d *Desk) Approve(ctx context.Context, id string, a Approval) (wire.Decision, error) {
	if err := a.check(); err != nil {
		return wire.Decision{}, err
	}
	release, err := d.Policy.Lock()
	if err != nil {
		return wire.Decision{}, err
	}
	defer release()
	p, err := d.pending(id)
	if err != nil {
		return wire.Decision{}, err
	}
	asked := p
	if a.Edited != nil {
		p.Route, p.Host, p.Dockerfile = a.Edited.Route, a.Edited.Host, a.Edited.Dockerfile
		if err := queue.Check(p); err != nil {
			return wire.Decision{}, fmt.Errorf("the edited proposal is refused: %w", err)
		}
	}
	if p.Tool == wire.ToolGitleaks && a.Scope != wire.ScopeFor {
		return wire.Decision{}, errors.New("an approved finding must end: approve it for a time, such as 1h, in which the agent can push")
	}
	lines, err := d.Diff(p)
	if err != nil {
		return wire.Decision{}, err
	}
	g := Grant(p, a, time.Now())
	dec := wire.Decision{
		Version: wire.Version, Proposal: id, Verdict: wire.Approved, Scope: a.Scope, Expires: g.Expires,
		Reason: queue.Clean(a.Reason), Edited: queue.Subject(asked) != queue.Subject(p), Changes: texts(lines),
	}
	if err := d.carryOut(ctx, asked, p, g, dec); err != nil {
		return dec, err
	}
	dec.DecidedAt = wire.At(time.Now())
	if err := Box(d.state()).Decide(dec); err != nil || p.Tool != wire.ToolCapability {
		return dec, err
	}
	return dec, d.Suspend(d.state()) // after the agent was told
}

func (a Approval) check() error {
	switch {
	case !slices.Contains([]string{wire.ScopeOnce, wire.ScopeFor, wire.ScopeGood}, a.Scope):
		return fmt.Errorf("an approval holds once, for a time or for good, not %q", a.Scope)
	case a.Scope == wire.ScopeFor && (a.For < time.Second || a.For > 365*24*time.Hour):
		return fmt.Errorf("an approval for a time needs one between a second and a year, not %s", a.For)
	}
	return nil
}

// carryOut records the approval, changes the policy, and records what became of it.
func (d *Desk) carryOut(ctx context.Context, asked, p wire.Proposal, g wire.Grant, dec wire.Decision) error {
	if p.Tool == wire.ToolCapability {
		return d.record(func(log *audit.Log) error {
			if err := log.Require(d.entry(asked, dec)); err != nil {
				return err
			}
			err := d.Capability(ctx, d.state(), p.Dockerfile)
			if err != nil {
				err = errors.Join(err, log.Write(audit.Entry{Event: "failed", RequestID: p.ID, Detail: err.Error()}))
			}
			return err
		})
	}
	current, err := d.Policy.Current()
	if err != nil {
		return err
	}
	if p.Route != nil && !current.Egress {
		return errors.New("this bottle has no egressd, so it cannot take a route; add the route to its manifest and start it again")
	}
	if err := servable(current, p.Route); err != nil {
		return err
	}
	if f := p.Finding; f != nil && !slices.ContainsFunc(current.Remotes, func(r wire.PolicyRemote) bool { return r.Name == f.Remote }) {
		return fmt.Errorf("this bottle's git gate serves no remote %s, so there is nothing to approve; reject the proposal", f.Remote)
	}
	grants, err := d.Policy.Grants()
	if err != nil {
		return err
	}
	return d.record(func(log *audit.Log) error {
		if err := log.Require(d.entry(asked, dec)); err != nil {
			return err
		}
		done, err := d.Policy.Put(ctx, append(live(grants), g))
		for _, a := range done {
			err = errors.Join(err, log.Write(policyEntry(p.ID, a)))
		}
		if err != nil {
			return errors.Join(err, log.Write(audit.Entry{Event: "failed", RequestID: p.ID, Detail: err.Error()}))
		}
		if g.Scope == wire.ScopeGood {
			meta, err := d.state().Metadata()
			if err == nil {
				err = d.Manifest(meta.Bottle, g)
			}
			if err != nil {
				return fmt.Errorf("the change is in force in this bottle, but was not written into the manifest: %w", err)
			}
		}
		return nil
	})
}

// servable refuses a route whose token the running bottle does not hold.
func servable(current change.Policy, r *wire.Route) error {
	if r == nil || r.Auth == nil {
		return nil
	}
	if slices.ContainsFunc(current.Routes, func(x wire.Route) bool { return x.Auth != nil && x.Auth.TokenRef == r.Auth.TokenRef }) {
		return nil
	}
	return fmt.Errorf("the bottle holds no token %s; name it on a route of the manifest and start the bottle again", r.Auth.TokenRef)
}

// live are the grants that have not ended.
func live(grants []wire.Grant) []wire.Grant {
	return slices.DeleteFunc(slices.Clone(grants), func(g wire.Grant) bool { return g.Expires.Past(time.Now()) })
}

// Reject tells the agent no.
func (d *Desk) Reject(id, reason string) (wire.Decision, error) {
	release, err := d.Policy.Lock()
	if err != nil {
		return wire.Decision{}, err
	}
	defer release()
	p, err := d.pending(id)
	if err != nil {
		return wire.Decision{}, err
	}
	dec := wire.Decision{Version: wire.Version, Proposal: id, Verdict: wire.Rejected, Reason: queue.Clean(reason), DecidedAt: wire.At(time.Now())}
	err = d.record(func(log *audit.Log) error { return log.Require(d.entry(p, dec)) })
	if err != nil {
		return dec, err
	}
	return dec, Box(d.state()).Decide(dec)
}

// Sweep takes out what has ended, and records it.
func (d *Desk) Sweep(ctx context.Context) ([]wire.Grant, error) {
	grants, err := d.Policy.Grants()
	if err != nil || !slices.ContainsFunc(grants, func(g wire.Grant) bool { return g.Expires.Past(time.Now()) }) {
		return nil, err
	}
	release, err := d.Policy.Lock()
	if err != nil {
		return nil, err
	}
	defer release()
	var ended []wire.Grant
	return ended, d.record(func(log *audit.Log) error {
		var done []apply.Applied
		var err error
		ended, done, err = d.Policy.Sweep(ctx)
		for _, g := range ended {
			err = errors.Join(err, log.Write(audit.Entry{Event: "ended", RequestID: g.Proposal, Host: subjectOf(g.Route, g.Host, g.Finding), Detail: "the approval ended at " + g.Expires.String()}))
		}
		for _, a := range done {
			err = errors.Join(err, log.Write(policyEntry("", a)))
		}
		return err
	})
}

// record opens the launcher's audit log for as long as f runs. The caller has the
// lock, so that the chain has one writer.
func (d *Desk) record(f func(*audit.Log) error) error {
	log, err := audit.Open(d.state().Path("audit", "launcher", "launcher.jsonl"), "launcher", string(d.state().Identity))
	if err != nil {
		return err
	}
	return errors.Join(f(log), log.Close())
}

func (d *Desk) entry(p wire.Proposal, dec wire.Decision) audit.Entry {
	e := audit.Entry{Event: "decision", Decision: policy.Allow, Rule: p.Tool, Host: subjectOf(p.Route, p.Host, p.Finding), RequestID: p.ID}
	detail := dec.Verdict
	if dec.Verdict == wire.Rejected {
		e.Decision = policy.Deny
	} else {
		detail += " " + dec.Scope
		if !dec.Expires.IsZero() {
			detail += " until " + dec.Expires.String()
		}
		if dec.Edited {
			detail += ", edited"
		}
		detail += ": " + strings.Join(dec.Changes, "; ")
	}
	if dec.Reason != "" {
		detail += " (" + dec.Reason + ")"
	}
	e.Detail = detail
	return e
}

// policyEntry ties a change to what was in force before and after it.
func policyEntry(id string, a apply.Applied) audit.Entry {
	return audit.Entry{Event: "policy", RequestID: id, Rule: a.Service, Detail: "before " + a.Before + " after " + a.After}
}

// subjectOf is what the record's host field holds: where something may go.
func subjectOf(r *wire.Route, host string, f *wire.GitFinding) string {
	switch {
	case r != nil:
		return r.Host
	case f != nil:
		return "git-gate/" + f.Remote
	}
	return host
}

func texts(lines []change.Line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return out
}
