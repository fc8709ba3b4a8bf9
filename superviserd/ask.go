package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/wire"
)

// answer is what became of a proposal, for the agent.
type answer struct {
	ID     string `json:"id"`
	Status string `json:"status"` // pending, approved, rejected or expired
	// Detail is a sentence that says what to do now.
	Detail  string   `json:"detail"`
	Reason  string   `json:"reason,omitempty"`
	Scope   string   `json:"scope,omitempty"`
	Expires string   `json:"expires,omitempty"`
	Edited  bool     `json:"edited,omitempty"`
	Changes []string `json:"changes,omitempty"`
}

// How often a waiting call looks for its decision, and tells that it waits.
const (
	lookEvery = 200 * time.Millisecond
	tellEvery = 5 * time.Second
)

// ask puts a proposal into the queue and waits for the operator.
func (s *service) ask(ctx context.Context, req *mcp.CallToolRequest, p wire.Proposal) (*mcp.CallToolResult, answer, error) {
	p.Bottle = s.config.Load().Bottle
	taken, again, err := s.desk.Submit(p, s.recordProposal)
	if err != nil {
		return nil, answer{}, s.refused(p, err)
	}
	if again {
		s.Count("proposals_coalesced")
	}
	a, err := s.await(ctx, req, taken, s.wait())
	return a.result(), a, err
}

// recordProposal writes the audit line without which no proposal is taken.
func (s *service) recordProposal(p wire.Proposal) error {
	e := audit.Entry{Event: "proposal", Rule: p.Tool, Host: subject(p), Detail: p.Justification, RequestID: p.ID}
	if denial := s.Require(e); denial != nil {
		return errors.New(denial.Detail)
	}
	s.Count("proposals")
	return nil
}

// subject is the host that a proposal is about, "" for none.
func subject(p wire.Proposal) string {
	if p.Route != nil {
		return p.Route.Host
	}
	if p.Finding != nil {
		return "git-gate/" + shown(p.Finding.Remote)
	}
	return p.Host
}

// refused records that a proposal was not taken, and words it for the agent.
func (s *service) refused(p wire.Proposal, err error) error {
	s.Record(audit.Entry{
		Event: "proposal", Decision: policy.Deny, Rule: p.Tool, Host: shown(subject(p)),
		Detail: "not taken: " + shown(err.Error()), RequestID: audit.NewRequestID(),
	})
	var r *queue.Refusal
	if errors.As(err, &r) {
		return fmt.Errorf("the proposal was not taken: %w", r)
	}
	return errors.New("the proposal was not taken, because the queue cannot be written; tell the operator")
}

// await waits until a proposal is decided, for a while.
func (s *service) await(ctx context.Context, req *mcp.CallToolRequest, p wire.Proposal, patience time.Duration) (answer, error) {
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		patience = 0
	}
	began := time.Now()
	look, told := time.NewTicker(lookEvery), began
	defer look.Stop()
	for {
		a, err := s.status(p)
		if err != nil || a.Status != "pending" || time.Since(began) >= patience {
			return a, err
		}
		if since := time.Since(told); since >= tellEvery || told.Equal(began) {
			told = time.Now()
			tell(ctx, req, time.Since(began), patience)
		}
		select {
		case <-ctx.Done():
			return a, context.Cause(ctx) // the proposal stays; the client only stopped waiting
		case <-s.stopping:
			return a, nil
		case <-look.C:
		}
	}
}

// tell sends a progress notification, if the client asked for them.
func tell(ctx context.Context, req *mcp.CallToolRequest, waited, patience time.Duration) {
	token := req.Params.GetProgressToken()
	if token == nil {
		return
	}
	_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ // a client that is gone needs none
		ProgressToken: token, Progress: waited.Seconds(), Total: patience.Seconds(),
		Message: "waiting for the operator to decide",
	})
}

// status reads what became of a proposal.
func (s *service) status(p wire.Proposal) (answer, error) {
	d, err := s.desk.Decision(p.ID)
	if err != nil {
		return answer{}, errors.New("the decision about this proposal cannot be read; tell the operator")
	}
	a := answer{ID: p.ID, Status: "pending"}
	switch {
	case d == nil && queue.Expired(p, time.Now()):
		a.Status, a.Detail = "expired", "Nobody decided this proposal in time. Ask again if it is still needed."
	case d == nil:
		a.Detail = "The operator has not decided yet. Go on with other work, and call proposal-status with this id later; do not ask again."
	default:
		a.Status, a.Reason, a.Scope, a.Expires, a.Edited, a.Changes = d.Verdict, d.Reason, d.Scope, d.Expires.String(), d.Edited, d.Changes
		a.Detail = detail(p, d)
	}
	return a, nil
}

// detail says what a decision means for the agent.
func detail(p wire.Proposal, d *wire.Decision) string {
	if d.Verdict == wire.Rejected {
		return "The operator rejected this. Do not ask for the same again; find another way, or stop and say what is missing."
	}
	what := "The change is in force; retry the request."
	switch p.Tool {
	case wire.ToolGitleaks:
		what = "The object may be pushed now; push again."
	case wire.ToolCapability:
		what = "The bottle is rebuilt with this and resumed; this session ends now."
	}
	if !d.Expires.IsZero() {
		what += " It ends at " + d.Expires.String() + "."
	}
	if d.Edited {
		what += " The operator changed what you asked for; read changes."
	}
	return what
}

// result is the textual half of an answer.
func (a answer) result() *mcp.CallToolResult {
	text := a.Status + " (" + a.ID + "): " + a.Detail
	if a.Reason != "" {
		text += "\nThe operator says: " + a.Reason
	}
	for _, c := range a.Changes {
		text += "\n- " + c
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}
