package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestMachineAsks is what an agent in a virtual machine may ask for: a route, which it
// has at once, and a program, which is in the machine that its bottle is resumed with.
func TestMachineAsks(t *testing.T) {
	needMachines(t)
	w, b, home := asker(t, "--backend", "smolmachines")
	approve := func(tool string, arguments map[string]any) {
		t.Helper()
		answers := b.ask(t, tool, arguments)
		if r := w.run(t, home, "proposals", "approve", w.question(t, home)); r.Status != 0 {
			t.Fatalf("approve: %s", r)
		}
		if a := <-answers; a.Status != "approved" && a.Status != "" { // the session may end before the answer is read
			t.Errorf("the agent is told %+v", a)
		}
	}
	post := "curl -s -o /dev/null -w '%{http_code}' -d x " + w.url("api", "/v1/jobs")
	before := w.upstream.Mark()
	b.shell(t, post+" || true; echo kept > ~/workspace/note")
	sawNothing(t, w.upstream, before)

	approve("egress-block", map[string]any{
		"host": w.site("api"), "matches": []any{map[string]any{"path": map[string]any{"exact": "/v1/jobs"}, "methods": []string{"POST"}}},
		"justification": "To start the job.",
	})
	before = w.upstream.Mark()
	if out := b.shell(t, post); out != "200" {
		t.Errorf("after the approval: %s", out)
	}
	if seen := sawOne(t, w.upstream, before); seen.Method != http.MethodPost || seen.URI != "/v1/jobs" {
		t.Errorf("the upstream saw %+v", seen)
	}

	approve("capability-block", map[string]any{
		"dockerfile": "RUN printf '#!/bin/sh\\necho the new tool\\n' > /usr/local/bin/newtool && chmod 4755 /usr/local/bin/newtool", "justification": "I need it.",
	})
	for deadline := time.Now().Add(machineTime); b.Up(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the session did not end: ", b.Stderr())
		}
	}
	r := w.runFor(t, machineTime, home, "resume", b.id, "--yes", "--discard", "--", "sh", "-c", "newtool; cat ~/workspace/note; find / -xdev -type f -perm /6000 2>/dev/null; id -un")
	if r.Status != 0 || r.Stdout != "the new tool\nkept\nagent\n" {
		t.Errorf("resumed: %s", r)
	}
	if r := w.run(t, home, "audit", "verify", b.id); r.Status != 0 {
		t.Errorf("audit verify: %s", r)
	}
	if r := w.run(t, home, "cleanup", "--yes"); r.Status != 0 {
		t.Error(r)
	}
}
