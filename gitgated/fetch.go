package main

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/mirror"
	"github.com/bottlesuite/bottle/gitgated/internal/objectscan"
	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// defaultAge is how old a look at the upstream may be when the configuration
// does not say: a clone asks three times in a row.
const defaultAge = 2 * time.Second

func (s *service) maxAge() time.Duration {
	if s.config.FetchMaxAge != 0 {
		return time.Duration(s.config.FetchMaxAge)
	}
	return defaultAge
}

// look brings the mirror of a remote up to date and records that it is about to
// be read. It returns the denial if that fails: nothing stale is served.
func (s *service) look(ctx context.Context, st start, name, service string, age time.Duration) (*remote, *mirror.Refs, *policy.Decision) {
	to, d := s.remoteOf(name)
	if d != nil {
		s.Record(audit.Entry{Event: "fetch", Decision: d.Verdict, Reason: d.Reason, Method: "FETCH", Path: masked(clip(name)), RequestID: st.id, Duration: time.Since(st.at)})
		return nil, nil, d
	}
	refs, err := to.mirror.Refresh(ctx, age)
	if err != nil {
		d := s.decide(err)
		s.recordFetch(st, to, d)
		return to, nil, &d
	}
	if service == receivePack {
		return to, refs, nil // recorded when it is known what for
	}
	return to, refs, s.Require(fetchEntry(st, to, policy.Allowed("remotes."+to.Name)))
}

func fetchEntry(st start, to *remote, d policy.Decision) audit.Entry {
	return audit.Entry{
		Event: "fetch", Decision: d.Verdict, Reason: d.Reason, Rule: d.Rule, Detail: masked(d.Detail), Method: "FETCH",
		Host: to.upstream.Address(), Path: "/" + to.Name + ".git", RequestID: st.id, Duration: time.Since(st.at),
	}
}

func (s *service) recordFetch(st start, to *remote, d policy.Decision) {
	e := fetchEntry(st, to, d)
	s.Record(e)
}

// decide turns an error of the mirror into a denial.
func (s *service) decide(err error) policy.Decision {
	var f *sshlink.Fault
	if errors.As(err, &f) {
		return policy.Denied(f.Reason, "", f.Detail)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return policy.Denied(policy.ReasonPushLimit, "", "The request took more time than one may, or was given up.")
	}
	s.log.Error("the gate failed", "error", err)
	return policy.Denied(policy.ReasonOverloaded, "", "The git gate itself failed; the operator finds the cause in its log.")
}

// serve lets git answer: in to its input, its output to out.
func (s *service) serve(cmd *exec.Cmd, protocol string, in io.Reader, out io.Writer) {
	complaint := &mirror.Tail{Max: 2 << 10}
	cmd.Stdout, cmd.Stderr = out, complaint
	if protocol != "" {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+protocol)
	}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = mirror.Start(cmd)
	}
	if err != nil {
		s.log.Error("git cannot be started", "error", err)
		return
	}
	go func() {
		_, _ = io.Copy(stdin, in) // what is cut off, git complains about
		_ = stdin.Close()
	}()
	if err := cmd.Wait(); err != nil { // mostly a client that went away
		s.log.Debug("git ended early", "error", err, "said", masked(complaint.String()))
	}
}

// masked hides a value in which a secret stands: what the agent tried to send
// away must not be kept in the log instead.
func masked(s string) string {
	if _, _, found := objectscan.Text(s); found {
		return "[masked]"
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?' // nothing that acts on a terminal
		}
		return c
	}, s)
}

// clip bounds what is repeated of the agent's own words.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
