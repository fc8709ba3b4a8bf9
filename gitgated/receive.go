package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/mirror"
	"github.com/bottlesuite/bottle/gitgated/internal/pktline"
	"github.com/bottlesuite/bottle/gitgated/internal/refpolicy"
	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// capabilities are what a push may use. Left out on purpose: push options and
// signed pushes, which would carry text past the scan.
const capabilities = "report-status side-band-64k delete-refs quiet atomic ofs-delta object-format=sha1 agent=bottle-gitgated"

// advertise lists the upstream's refs, the beginning of a push.
func advertise(w io.Writer, refs *mirror.Refs) error {
	out := bufio.NewWriterSize(w, 64<<10)
	caps := "\x00" + capabilities
	for _, name := range slices.Sorted(maps.Keys(refs.ByName)) {
		if err := pktline.Writef(out, "%s %s%s\n", refs.ByName[name], name, caps); err != nil {
			return err
		}
		caps = ""
	}
	if caps != "" { // no ref at all
		if err := pktline.Writef(out, "%s capabilities^{}%s\n", refpolicy.Zero, caps); err != nil {
			return err
		}
	}
	if err := pktline.WriteFlush(out); err != nil {
		return err
	}
	return out.Flush()
}

// maxCommands bounds the bytes of a push before its pack.
const maxCommands = 4 << 20

// wish is what a push says before its pack.
type wish struct {
	updates []refpolicy.Update
	caps    map[string]bool
}

// packs reports whether a pack follows.
func (w wish) packs() bool {
	return slices.ContainsFunc(w.updates, func(u refpolicy.Update) bool { return !u.Delete() })
}

var errTooMany = errors.New("too many refs")

// readWish reads commands up to the flush. It returns errTooMany, and the first
// of them, when there are more than max.
func readWish(in io.Reader, max int) (wish, error) {
	w := wish{caps: map[string]bool{}}
	var err error
	for size := 0; ; {
		line, kind, rerr := pktline.Read(in)
		if rerr != nil {
			return w, rerr
		}
		if kind == pktline.Flush {
			return w, err
		}
		if size += len(line); kind != pktline.Data || size > maxCommands {
			return w, pktline.ErrSyntax
		}
		text, caps, has := strings.Cut(strings.TrimSuffix(string(line), "\n"), "\x00")
		if has {
			for _, c := range strings.Fields(caps) {
				w.caps[c] = true
			}
		}
		if strings.HasPrefix(text, "shallow ") {
			continue // the mirror is whole; what is missing there is missing
		}
		u, ok := parseUpdate(text)
		if !ok {
			return w, fmt.Errorf("%w: %q", pktline.ErrSyntax, clip(text))
		}
		if len(w.updates) == max {
			err = errTooMany
			continue
		}
		w.updates = append(w.updates, u)
	}
}

// parseUpdate reads "<old> <new> <ref>".
func parseUpdate(text string) (refpolicy.Update, bool) {
	f := strings.SplitN(text, " ", 3)
	if len(f) != 3 || !oidShape.MatchString(f[0]) || !oidShape.MatchString(f[1]) {
		return refpolicy.Update{}, false
	}
	return refpolicy.Update{Ref: f[2], Old: f[0], New: f[1]}, true
}

// receive takes a push from its commands to its report.
func (s *service) receive(ctx context.Context, st start, to *remote, in *bufio.Reader, out io.Writer) {
	w, err := readWish(in, to.Limits.MaxRefs)
	if err != nil && !errors.Is(err, errTooMany) {
		refuse(out, policy.Denied(policy.ReasonBadRequest, "", fmt.Sprintf("The push cannot be read: %v.", err)))
		return
	}
	if len(w.updates) == 0 {
		return // git asks like this whether it is let in
	}
	rep := newReport(out, w)
	p := &push{service: s, to: to, wish: w, in: in, start: st, report: rep, decisions: make([]policy.Decision, len(w.updates))}
	if err != nil {
		p.denyAll(policy.Denied(policy.ReasonPushLimit, "", fmt.Sprintf("The push changes more than the %d refs that one may; push in parts.", to.Limits.MaxRefs)))
	} else {
		p.judge(ctx)
	}
	if !p.took && w.packs() {
		// Whoever is still sending does not read, so the rest is taken and
		// thrown away, as far as a push may go.
		_, _ = io.Copy(io.Discard, io.LimitReader(in, int64(to.Limits.MaxPushBytes)))
	}
	p.finish()
}

// push is a push that is being judged.
type push struct {
	*service
	to        *remote
	wish      wish
	in        *bufio.Reader
	start     start
	report    *report
	decisions []policy.Decision // one for each update
	// took says that the pack has been read.
	took  bool
	bytes int64
	sent  bool // the upstream was asked
}

// denyAll refuses every update for one reason.
func (p *push) denyAll(d policy.Decision) {
	for i := range p.decisions {
		p.decisions[i] = d
	}
}

// refused reports whether any update is; then none happens.
func (p *push) refused() bool {
	return slices.ContainsFunc(p.decisions, func(d policy.Decision) bool { return !d.OK() })
}

// entry describes an update for the audit log.
func (p *push) entry(i int) audit.Entry {
	d, u := p.decisions[i], p.wish.updates[i]
	method := "PUSH"
	if u.Delete() {
		method = "DELETE"
	}
	e := audit.Entry{
		Event: "push", Decision: d.Verdict, Reason: d.Reason, Rule: d.Rule, Detail: masked(d.Detail), Method: method,
		Host: p.to.upstream.Address(), Path: "/" + p.to.Name + ".git/" + masked(clip(u.Ref)),
		BytesIn: p.bytes, RequestID: p.start.id, Duration: time.Since(p.start.at),
	}
	if d.OK() {
		e.Detail = u.Old + " to " + u.New
	}
	return e
}

// finish records and reports. An update that was fine by itself shares the
// others' fate.
func (p *push) finish() {
	if p.refused() {
		for i, d := range p.decisions {
			if d.OK() {
				p.decisions[i] = policy.Denied(p.firstDenial().Reason, d.Rule, "Another ref of the same push was refused, and a push is all or nothing.")
			}
		}
	}
	for i := range p.decisions {
		p.Record(p.entry(i))
	}
	p.report.write(p.wish.updates, p.decisions)
}

func (p *push) firstDenial() policy.Decision {
	i := slices.IndexFunc(p.decisions, func(d policy.Decision) bool { return !d.OK() })
	return p.decisions[i]
}
