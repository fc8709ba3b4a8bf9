package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/mirror"
	"github.com/bottlesuite/bottle/gitgated/internal/objectscan"
	"github.com/bottlesuite/bottle/gitgated/internal/refpolicy"
	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// judge decides about a push, cheapest questions first, and carries it out if
// everything is in order. The upstream hears of it in the last step only.
func (p *push) judge(ctx context.Context) {
	leave, d := p.pushes.enter(ctx)
	if d != nil {
		p.denyAll(*d)
		return
	}
	defer leave()
	p.to.pushing.Lock()
	defer p.to.pushing.Unlock()
	if !p.names(ctx) {
		return
	}
	q, err := p.to.mirror.NewQuarantine()
	if err != nil {
		p.denyAll(p.decide(err))
		return
	}
	defer q.Close()
	if p.wish.packs() {
		limits := mirror.PackLimits{Bytes: int64(p.to.Limits.MaxPushBytes), Objects: p.to.Limits.MaxObjects}
		err := q.Index(ctx, p.in, limits)
		p.bytes = q.Bytes
		if err != nil {
			p.denyAll(p.decide(err))
			return
		}
		p.took = true
	}
	stop := p.report.alive(func() string { return "looking at the objects" })
	defer stop()
	for _, step := range []func(context.Context, *mirror.Quarantine) error{p.kinds, p.secrets, p.forced, p.send} {
		if err := step(ctx, q); err != nil {
			p.denyAll(p.decide(err))
		}
		if p.refused() {
			return
		}
	}
}

// names judges the refs by their names, against the upstream as it is now.
func (p *push) names(ctx context.Context) bool {
	refs, err := p.to.mirror.Refresh(ctx, p.maxAge())
	if err != nil {
		p.denyAll(p.decide(err))
		return false
	}
	p.decisions = refpolicy.Names(p.to.Refs, refs.ByName, p.wish.updates)
	for i, u := range p.wish.updates {
		if rule, _, found := objectscan.Text(u.Ref); found && !u.Delete() {
			p.decisions[i] = policy.Denied(policy.ReasonSecretFound, rule, "The name of the ref holds what looks like a secret; choose another name.")
		}
	}
	return !p.refused()
}

// kinds makes sure that each ref gets an object of the kind that it may point to.
func (p *push) kinds(ctx context.Context, q *mirror.Quarantine) error {
	for i, u := range p.wish.updates {
		if u.Delete() {
			continue
		}
		kind, _, err := q.Peeled(ctx, u.New)
		if err != nil {
			return err
		}
		if kind != "commit" && !refpolicy.IsTag(u.Ref) {
			p.decisions[i] = policy.Denied(policy.ReasonBadPack, p.decisions[i].Rule, "The ref would point to a "+kind+" instead of a commit.")
		}
	}
	return nil
}

// secrets looks at every object that would be new to the upstream.
func (p *push) secrets(ctx context.Context, q *mirror.Quarantine) error {
	var ids []string
	for _, u := range p.wish.updates {
		if !u.Delete() {
			ids = append(ids, u.New)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	scan := &objectscan.Scan{
		Command: q.Command, Start: mirror.Start, Allowed: p.policy.Load().allowed,
		MaxObject: int64(p.to.Limits.MaxObjectBytes), Dir: q.Dir(), Packs: q.Packs(),
	}
	began := time.Now()
	found, err := scan.Run(ctx, ids)
	p.log.Info("objects scanned", "remote", p.to.Name, "objects", scan.Objects.Load(), "bytes", scan.Bytes.Load(), "duration_ms", time.Since(began).Milliseconds(), "findings", len(found))
	switch {
	case errors.Is(err, objectscan.ErrLarge):
		return &sshlink.Fault{Reason: policy.ReasonPushLimit, Detail: masked(fmt.Sprintf("%v; this remote takes objects up to %s.", err, p.to.Limits.MaxObjectBytes))}
	case errors.Is(err, objectscan.ErrMissing):
		return &sshlink.Fault{Reason: policy.ReasonBadPack, Detail: masked("The push lacks objects that it refers to (push from a clone that is not shallow): " + err.Error())}
	case err != nil && ctx.Err() != nil:
		return &sshlink.Fault{Reason: policy.ReasonPushLimit, Detail: "The push took more time than one may."}
	case err != nil:
		return err
	}
	if len(found) > 0 {
		p.report.findings(p.to.Name, found)
		p.record(found)
		p.denyAll(policy.Denied(reasonOf(found[0]), found[0].Rule, describe(found[0])))
	}
	return nil
}

// record writes a line for each finding, by which an operator who is asked to let
// it pass sees what it is without the agent's word.
func (p *push) record(found []objectscan.Finding) {
	for _, f := range found {
		p.Record(audit.Entry{
			Event: "finding", Decision: policy.Deny, Reason: reasonOf(f), Rule: f.Rule, Detail: masked(describe(f)),
			Host: p.to.upstream.Address(), Path: "/" + p.to.Name + ".git/" + f.Object, RequestID: p.start.id,
		})
	}
}

// forced finds updates of branches that would lose commits.
func (p *push) forced(ctx context.Context, q *mirror.Quarantine) error {
	for i, u := range p.wish.updates {
		if u.Create() || u.Delete() || refpolicy.IsTag(u.Ref) {
			continue
		}
		ok, err := q.IsAncestor(ctx, u.Old, u.New)
		if err != nil {
			return err
		}
		if !ok {
			p.decisions[i] = refpolicy.Forced(p.to.Refs, p.decisions[i])
		}
	}
	return nil
}

// sendTime bounds a push to the upstream.
const sendTime = 15 * time.Minute

// send records the push, sends it to the upstream, and takes it over into the
// mirror. An agent that goes away meanwhile does not stop it half-way.
func (p *push) send(ctx context.Context, q *mirror.Quarantine) error {
	for i := range p.wish.updates {
		if d := p.Begin(p.entry(i)); d != nil {
			p.denyAll(*d)
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTime)
	defer cancel()
	p.sent = true
	messages, err := p.to.mirror.Push(ctx, q, p.wish.updates)
	for _, m := range messages {
		p.report.say("upstream: %s", p.scrub(m))
	}
	if err != nil {
		d := p.decide(err)
		d.Detail = p.scrub(d.Detail)
		p.denyAll(d)
		return nil
	}
	if err := p.to.mirror.Adopt(ctx, q, p.wish.updates); err != nil {
		p.log.Error("the push is upstream, and the mirror will learn of it by its next fetch", "error", err)
	}
	return nil
}
