package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
)

// TestFindingIsApproved is the story of a false alarm: a push is refused, the agent
// asks with the arguments that the refusal printed, the operator sees what the gate
// itself found, approves it for a while, and that object goes through. Another one
// with the same finding does not.
func TestFindingIsApproved(t *testing.T) {
	w := need(t)
	g := startGitServer(t)
	home := t.TempDir()
	b := g.bottle(t, w, home, strings.Replace(gitBottle, "---\n", "---\nsupervise: true\n", 1))
	b.shell(t, clone(g.url())+" && cd app && git checkout -q -b agent/work && echo token=ghp_"+digits(36)+" > fixture.txt && git add . && git commit -q -m Fixture")
	before := g.refs(t)
	refused := b.exec(t, "agent", "cd app; git push origin HEAD 2>&1; true").Stdout
	if after := g.refs(t); after != before {
		t.Fatalf("the upstream changed:\n%s", after)
	}
	_, printed, ok := strings.Cut(refused, "gitleaks-allow ")
	printed, _, _ = strings.Cut(printed, "\n")
	var arguments map[string]any
	if err := json.Unmarshal([]byte(printed), &arguments); !ok || err != nil {
		t.Fatalf("the refusal has no arguments to ask with (%v):\n%s", err, refused)
	}
	arguments["justification"] = "A made-up token for a test."

	answers := b.ask(t, "gitleaks-allow", arguments)
	id := w.question(t, home)
	shown := w.run(t, home, "proposals", "show", id)
	if !strings.Contains(shown.Stdout, "the git gate found "+arguments["rule"].(string)+" (") || !strings.Contains(shown.Stdout, ") in fixture.txt, line 1") || strings.Contains(shown.Stdout, "\n! ") {
		t.Errorf("the operator is shown %s", shown)
	}
	for _, flag := range []string{"--once", "--good"} {
		if r := w.run(t, home, "proposals", "approve", id, flag); r.Status == 0 || !strings.Contains(r.Stderr, "must end") {
			t.Errorf("approve %s: %s", flag, r)
		}
	}
	if r := w.run(t, home, "proposals", "approve", id, "--for", "10m"); r.Status != 0 {
		t.Fatalf("approve: %s", r)
	}
	if a := <-answers; a.Status != "approved" || a.Expires == "" {
		t.Errorf("the agent is told %+v", a)
	}
	b.shell(t, "cd app && git push -q origin HEAD")
	after := g.refs(t)
	if !strings.Contains(after, "refs/heads/agent/work") {
		t.Errorf("the approved push did not arrive:\n%s", after)
	}
	b.exec(t, "agent", "cd app; sed 's/$/ /' -i fixture.txt; git commit -q -a -m Another; git push origin HEAD")
	if now := g.refs(t); now != after {
		t.Errorf("another object went through:\n%s", now)
	}
	b.awaitLine(t, "launcher", "before and after", func(l audit.Line) bool {
		return l.Event == "policy" && l.RequestID == id && l.Rule == "git-gate"
	})
	if r := w.run(t, home, "audit", "verify", b.id); r.Status != 0 {
		t.Errorf("audit verify: %s", r)
	}
}
