package decide

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/apply"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
)

// away is an engine that does not answer: no change can be put in force. What
// happens when it does is tested with real sidecars in package apply.
type away struct{}

var errAway = errors.New("the engine is away")

func (away) Validate(context.Context, string, string) error { return errAway }
func (away) Reload(context.Context, string) error           { return errAway }
func (away) Status(context.Context, string) (wire.Status, error) {
	return wire.Status{}, errAway
}

const id = bottle.Identity("demo-abcde")

// standing is the state of a bottle with one question.
func standing(t *testing.T, p wire.Proposal) (*Desk, wire.Proposal) {
	t.Helper()
	s := bottle.State{Identity: id, Dir: t.TempDir()}
	for _, d := range []string{"queue/proposals", "queue/decisions", "policy", "audit/launcher", "audit/git-gate", "config"} {
		if err := os.MkdirAll(s.Path(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		bundle.BaseFile:           "egress: {routes: [{host: api.example, auth: {scheme: Bearer, token_ref: T}}]}\npipelock: {allow: [{host: api.example}]}\ngit: {remotes: [{name: app}]}\n",
		bundle.GrantsFile:         "version: 1\ngrants: []\n",
		"config/pipelockd.yaml":   "version: 1\nallow: [{host: api.example}]\n",
		"config/egressd.yaml":     "version: 1\nroutes: [{host: api.example, auth: {scheme: Bearer, token_ref: T}}]\n",
		"config/superviserd.yaml": "version: 1\n",
		"config/gitgated.yaml":    "version: 1\n",
	} {
		if err := os.WriteFile(s.Path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	desk := &queue.Desk{Box: Box(s)}
	p.Bottle = string(id)
	p, _, err := desk.Submit(p, func(wire.Proposal) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return &Desk{Policy: &apply.Desk{State: s, Sidecars: away{}}}, p
}

func route(host string) wire.Proposal {
	return wire.Proposal{Tool: wire.ToolEgress, Justification: "x", Route: &wire.Route{Host: host, Matches: []wire.Match{{Methods: []string{"GET"}}}}}
}

func (d *Desk) log(t *testing.T) string {
	t.Helper()
	file := filepath.Join(d.state().Dir, "audit/launcher/launcher.jsonl")
	if _, err := audit.VerifyFiles(file); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRejectIsFinalAndRecorded(t *testing.T) {
	d, p := standing(t, route("api.example"))
	dec, err := d.Reject(p.ID, "No\x1b[2J.")
	if err != nil || dec.Verdict != wire.Rejected || strings.Contains(dec.Reason, "\x1b") {
		t.Fatalf("%+v %v", dec, err)
	}
	if _, err := d.Reject(p.ID, ""); !errors.Is(err, queue.ErrDecided) {
		t.Errorf("a second rejection: %v", err)
	}
	if _, err := d.Approve(t.Context(), p.ID, Approval{Scope: wire.ScopeOnce}); !errors.Is(err, queue.ErrDecided) {
		t.Errorf("an approval after it: %v", err)
	}
	if log := d.log(t); !strings.Contains(log, `"event":"decision","decision":"deny","rule":"egress-block"`) || !strings.Contains(log, p.ID) {
		t.Error(log)
	}
}

// An approval that cannot be put in force is recorded as such, and leaves the
// question open and the policy as it was.
func TestFailedApprovalDecidesNothing(t *testing.T) {
	d, p := standing(t, route("api.example"))
	if _, err := d.Approve(t.Context(), p.ID, Approval{Scope: wire.ScopeFor, For: time.Minute}); !errors.Is(err, errAway) {
		t.Fatal(err)
	}
	if dec, err := Box(d.state()).Decision(p.ID); dec != nil || err != nil {
		t.Errorf("the agent is told %+v %v", dec, err)
	}
	if grants, err := d.Policy.Grants(); len(grants) > 0 || err != nil {
		t.Errorf("granted: %+v %v", grants, err)
	}
	if left, _ := filepath.Glob(d.state().Path("config", "*.next")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if log := d.log(t); !strings.Contains(log, `"event":"decision","decision":"allow"`) || !strings.Contains(log, `"event":"failed"`) {
		t.Error(log)
	}
}

func TestApprovalsThatAreRefused(t *testing.T) {
	foreign := route("api.example")
	foreign.Route.Auth = &wire.Auth{Scheme: "Bearer", TokenRef: "OTHER"}
	for name, tc := range map[string]struct {
		p    wire.Proposal
		a    Approval
		want string
	}{
		"no scope":         {route("api.example"), Approval{}, "once, for a time or for good"},
		"no time":          {route("api.example"), Approval{Scope: wire.ScopeFor}, "between a second and a year"},
		"no token":         {foreign, Approval{Scope: wire.ScopeOnce}, "holds no token OTHER"},
		"edited badly":     {route("api.example"), Approval{Scope: wire.ScopeOnce, Edited: &wire.Proposal{Route: &wire.Route{Host: "*.com"}}}, "the edited proposal is refused"},
		"finding for good": {finding("app"), Approval{Scope: wire.ScopeGood}, "must end"},
		"finding once":     {finding("app"), Approval{Scope: wire.ScopeOnce}, "must end"},
		"no such remote":   {finding("other"), Approval{Scope: wire.ScopeFor, For: time.Minute}, "serves no remote other"},
		"another kind":     {route("api.example"), Approval{Scope: wire.ScopeOnce, Edited: &wire.Proposal{Dockerfile: "RUN x"}}, "the edited proposal is refused"},
	} {
		d, p := standing(t, tc.p)
		if _, err := d.Approve(t.Context(), p.ID, tc.a); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if dec, _ := Box(d.state()).Decision(p.ID); dec != nil {
			t.Errorf("%s: decided as %+v", name, dec)
		}
	}
}

func TestCapabilityIsBuiltBeforeTheSessionEnds(t *testing.T) {
	d, p := standing(t, wire.Proposal{Tool: wire.ToolCapability, Justification: "x", Dockerfile: "RUN true"})
	var steps []string
	fail := errors.New("no such package")
	d.Capability = func(_ context.Context, _ bottle.State, lines string) error {
		steps = append(steps, "build "+lines)
		return fail
	}
	d.Suspend = func(s bottle.State) error {
		if dec, err := Box(s).Decision(p.ID); dec == nil || err != nil {
			t.Error("the session ends before the agent is told")
		}
		steps = append(steps, "suspend")
		return nil
	}
	if _, err := d.Approve(t.Context(), p.ID, Approval{Scope: wire.ScopeOnce}); !errors.Is(err, fail) {
		t.Fatal(err)
	}
	fail = nil
	if _, err := d.Approve(t.Context(), p.ID, Approval{Scope: wire.ScopeOnce}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(steps, ", "); got != "build RUN true, build RUN true, suspend" {
		t.Error(got)
	}
}

func finding(remote string) wire.Proposal {
	return wire.Proposal{Tool: wire.ToolGitleaks, Justification: "x", Finding: &wire.GitFinding{
		Remote: remote, Object: strings.Repeat("a", 40), Rule: "jwt", Path: "docs/harmless.md"}}
}

// The operator sees what the gate found, by the gate's own record; where there is
// none, the agent's word is all there is, and that is an alarm.
func TestEvidenceIsTheGatesOwn(t *testing.T) {
	d, p := standing(t, finding("app"))
	say := func() (all string) {
		t.Helper()
		lines, err := d.Diff(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Alarm {
				all += "!"
			}
			all += l.Text + "\n"
		}
		return all
	}
	if said := say(); !strings.Contains(said, "!the git gate has not found this") {
		t.Error(said)
	}
	log, err := audit.Open(d.state().Path("audit", "git-gate", "gitgated.jsonl"), "gitgated", string(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []audit.Entry{
		{Event: "finding", Rule: "jwt", Path: "/app.git/" + p.Finding.Object, Detail: "jwt (eyJ…) in prod/key.txt, line 3."},
		{Event: "finding", Rule: "jwt", Path: "/app.git/" + p.Finding.Object, Detail: "jwt (eyJ…) in prod/key.txt, line 3."},
		{Event: "finding", Rule: "jwt", Path: "/app.git/" + strings.Repeat("b", 40), Detail: "jwt in another object."},
		{Event: "finding", Rule: "other", Path: "/app.git/" + p.Finding.Object, Detail: "other rule."},
	} {
		if err := log.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	said := say()
	if strings.Count(said, "the git gate found") != 1 || !strings.Contains(said, "the git gate found jwt (eyJ…) in prod/key.txt, line 3, at ") || strings.Contains(said, "!") {
		t.Error(said)
	}
}
