package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/objectscan"
	"github.com/bottlesuite/bottle/gitgated/internal/pktline"
	"github.com/bottlesuite/bottle/gitgated/internal/refpolicy"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// report answers a push: "remote:" lines while it is judged, then the status of
// each ref. It is safe for concurrent use.
type report struct {
	mu     sync.Mutex
	out    io.Writer
	band   bool // the client takes several channels
	status bool // the client takes a report at all
	quiet  bool
}

func newReport(out io.Writer, w wish) *report {
	return &report{out: out, band: w.caps["side-band-64k"], status: w.caps["report-status"], quiet: w.caps["quiet"]}
}

// say writes one line that git shows after "remote:".
func (r *report) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.band {
		line := strings.ReplaceAll(masked2(fmt.Sprintf(format, args...)), "\n", " ")
		_, _ = pktline.Band{W: r.out, Number: 2}.Write([]byte(line + "\n")) // a client that is gone needs no answer
	}
}

// masked2 keeps control characters out of what a terminal shows.
func masked2(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, s)
}

// aliveEvery is how often a waiting client hears something.
const aliveEvery = 5 * time.Second

// alive tells a waiting client from time to time what is going on, until stop.
func (r *report) alive(what func() string) (stop func()) {
	tick, done := time.NewTicker(aliveEvery), make(chan struct{})
	var over sync.WaitGroup
	over.Go(func() {
		for {
			select {
			case <-tick.C:
				if !r.quiet {
					r.say("bottle: %s", what())
				}
			case <-done:
				return
			}
		}
	})
	return sync.OnceFunc(func() { tick.Stop(); close(done); over.Wait() })
}

// write sends the status of each ref and ends the answer.
func (r *report) write(updates []refpolicy.Update, decisions []policy.Decision) {
	told := map[string]bool{}
	for _, d := range decisions {
		if text := fmt.Sprintf("bottle: %s: %s", d.Reason, d.Detail); !d.OK() && !told[text] {
			told[text] = true
			r.say("%s", text)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	if r.status {
		_ = pktline.Writef(&b, "unpack ok\n") // a buffer takes everything
		for i, u := range updates {
			if d := decisions[i]; d.OK() {
				_ = pktline.Writef(&b, "ok %s\n", u.Ref)
			} else {
				_ = pktline.Writef(&b, "ng %s %s\n", u.Ref, brief(d))
			}
		}
		_ = pktline.WriteFlush(&b)
	}
	if r.band {
		_, _ = pktline.Band{W: r.out, Number: 1}.Write(b.Bytes())
		_ = pktline.WriteFlush(r.out)
		return
	}
	_, _ = r.out.Write(b.Bytes())
}

// brief is a denial in the few words that git shows behind the ref.
func brief(d policy.Decision) string {
	if d.Rule != "" {
		return fmt.Sprintf("%s: %s", d.Reason, d.Rule)
	}
	return string(d.Reason)
}

// reasonOf tells secrets from what cannot be read.
func reasonOf(f objectscan.Finding) policy.Reason {
	switch f.Rule {
	case objectscan.RuleArchiveDeep, objectscan.RuleArchiveLarge, objectscan.RuleArchiveEncrypted, objectscan.RuleArchiveBroken:
		return policy.ReasonUnscannable
	}
	return policy.ReasonSecretFound
}

// describe says in one sentence where a finding is.
func describe(f objectscan.Finding) string {
	at := ""
	if f.Line > 0 {
		at = fmt.Sprintf(", line %d", f.Line)
	}
	in := ""
	if f.Commit != "" {
		in = " of commit " + f.Commit[:12]
	}
	what := f.Rule
	if f.Masked != "" {
		what += " (" + f.Masked + ")"
	}
	switch f.Kind {
	case "commit":
		return fmt.Sprintf("%s in the message or the author of commit %.12s%s.", what, f.Object, at)
	case "tag":
		return fmt.Sprintf("%s in the annotated tag %.12s%s.", what, f.Object, at)
	case "tree":
		return fmt.Sprintf("%s in the name of a file in the folder /%s%s.", what, f.Path, in)
	}
	where := f.Path
	if where == "" {
		where = "the blob " + f.Object[:12]
	}
	return fmt.Sprintf("%s in %s%s%s.", what, where, at, in)
}

// findings tells the agent what was found, what to do about it, and how to ask
// if it is a mistake.
func (r *report) findings(remote string, all []objectscan.Finding) {
	r.say("bottle: the push was refused before the upstream heard of it; %d finding(s):", len(all))
	for _, f := range all {
		r.say("  %s", describe(f))
	}
	r.say("Remove it from every commit of the push (git commit --amend, git rebase -i), not only from the last one;")
	r.say("a real secret that was in a file should be considered known and be replaced. If it is none, ask the operator:")
	for _, f := range all {
		if f.Last {
			continue // cannot be approved
		}
		ask := wire.Ask{Tool: wire.ToolGitleaks, Arguments: map[string]any{
			"remote": remote, "object": f.Object, "rule": f.Rule, "path": f.Path, "commit": f.Commit, "justification": "",
		}}
		if text, err := json.Marshal(ask.Arguments); err == nil {
			r.say("  %s %s", ask.Tool, text)
		}
	}
}

// scrub takes the remote's token out of what the upstream says.
func (p *push) scrub(s string) string {
	if token := p.to.token.Reveal(); token != "" {
		s = strings.ReplaceAll(s, token, "[redacted]")
	}
	return masked2(s)
}
