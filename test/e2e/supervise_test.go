package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/test/trial"
)

// askerBottle may ask for what it does not have.
const askerBottle = `---
supervise: true
egress:
  routes:
    - host: {open}
      matches: [{path: {prefix: /v1/}, methods: [GET]}]
pipelock:
  hosts: {open.demo.example: <upstream>, api.demo.example: <upstream>}
  allow_private: [open.demo.example, api.demo.example]
  extra_ca: <ca>
resources: {cpus: 1, memory: 1GiB, pids: 256}
---
`

// asked is what the MCP server answers.
type asked struct {
	ID, Status, Detail, Reason, Scope, Expires string
	Changes                                    []string
}

// asker starts a bottle of its own that may ask.
func asker(t *testing.T, args ...string) (*world, *bottle, string) {
	t.Helper()
	w := need(t)
	home := w.newHome(t)
	if err := w.writeManifest(home, "asker", askerBottle); err != nil {
		t.Fatal(err)
	}
	return w, w.mustStart(t, home, "asker", args...), home
}

// ask calls an MCP tool from inside the bottle; the answer comes later. It is empty
// where the session ended, and the program with it, before it could be read.
func (b *bottle) ask(t *testing.T, tool string, arguments map[string]any) <-chan asked {
	t.Helper()
	answers := make(chan asked, 1)
	go func() {
		defer close(answers)
		const killed = 128 + 9
		r := b.script(t, "agent", "ask.py", map[string]any{"tool": tool, "arguments": arguments})
		if r.Status == killed {
			return
		}
		var a asked
		if err := json.Unmarshal([]byte(r.Stdout), &a); err != nil || r.Status != 0 {
			t.Errorf("%s ended with %s (%v)", tool, r, err)
		}
		answers <- a
	}()
	return answers
}

// question waits until the operator sees one question, and returns its id.
func (w *world) question(t *testing.T, home string) string {
	t.Helper()
	for deadline := time.Now().Add(execTime); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var all []struct{ ID string }
		r := w.run(t, home, "proposals", "list", "--json")
		if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil || r.Status != 0 {
			t.Fatalf("proposals list: %v: %s", err, r)
		}
		if len(all) == 1 {
			return all[0].ID
		}
	}
	t.Fatal("the operator sees no question")
	return ""
}

// TestAskApproveExpire is the story of a change for a while: denied, asked,
// approved, allowed without a restart, over, denied again, and all of it provable.
func TestAskApproveExpire(t *testing.T) {
	w, b, home := asker(t)
	const hold = 60 * time.Second
	post := "curl -s -o /dev/null -w '%{http_code}' -d x " + w.url("api", "/v1/jobs")

	before := w.upstream.Mark()
	b.shell(t, post+" || true")
	sawNothing(t, w.upstream, before)
	line := b.awaitLine(t, "egressd", "a refused tunnel", func(l audit.Line) bool { return l.Reason == policy.ReasonHostNotAllowed })
	if !strings.HasPrefix(line.Host, "api.demo.example") {
		t.Errorf("the audit says %+v", line)
	}

	answers := b.ask(t, "egress-block", map[string]any{
		"host": w.site("api"), "matches": []any{map[string]any{"path": map[string]any{"exact": "/v1/jobs"}, "methods": []string{"POST"}}},
		"justification": "To start the job.",
	})
	id := w.question(t, home)
	if r := w.run(t, home, "proposals", "show", id); r.Status != 0 || !strings.Contains(r.Stdout, "adds POST to the path /v1/jobs of "+w.site("api")+", before: nothing") {
		t.Errorf("the operator is shown %s", r)
	}
	r := w.run(t, home, "proposals", "approve", id, "--for", hold.String())
	approved := time.Now()
	if r.Status != 0 {
		t.Fatalf("approve: %s", r)
	}
	if a := <-answers; a.Status != "approved" || a.ID != id || a.Expires == "" || len(a.Changes) == 0 {
		t.Errorf("the agent is told %+v", a)
	}

	before = w.upstream.Mark()
	if out := b.shell(t, post); out != "200" {
		t.Errorf("after the approval: %s (it took %s)", out, time.Since(approved))
	}
	if seen := sawOne(t, w.upstream, before); seen.Method != http.MethodPost || seen.URI != "/v1/jobs" {
		t.Errorf("the upstream saw %+v", seen)
	}
	before = w.upstream.Mark()
	b.shell(t, "curl -s -o /dev/null "+w.url("api", "/v1/jobs")+" || true") // GET was not asked for
	sawNothing(t, w.upstream, before)
	if out := b.shell(t, "curl -s "+w.url("open", "/v1/hello")+" -o /dev/null -w '%{http_code}'"); out != "200" {
		t.Errorf("what the manifest allows: %s", out)
	}

	time.Sleep(time.Until(approved.Add(hold + time.Second)))
	before = w.upstream.Mark()
	b.shell(t, post+" || true")
	sawNothing(t, w.upstream, before)
	b.awaitLine(t, "launcher", "the end of the approval", func(l audit.Line) bool { return l.Event == "ended" && l.RequestID == id })

	r = w.run(t, home, "audit", "verify", b.id)
	if r.Status != 0 || strings.Count(r.Stdout, "ok ") != 4 {
		t.Errorf("audit verify: %s", r)
	}
	b.awaitLine(t, "superviserd", "the question", func(l audit.Line) bool { return l.Event == "proposal" && l.RequestID == id })
	b.awaitLine(t, "launcher", "the decision", func(l audit.Line) bool {
		return l.Event == "decision" && l.RequestID == id && strings.Contains(l.Detail, "approved for until")
	})
	b.awaitLine(t, "launcher", "before and after", func(l audit.Line) bool {
		return l.Event == "policy" && l.RequestID == id && l.Rule == "egress" && strings.Contains(l.Detail, " after ")
	})
	t.Logf("audit verify:\n%s", r.Stdout)
}

// TestRejected is the operator's no, with a word to the agent.
func TestRejected(t *testing.T) {
	w, b, home := asker(t)
	answers := b.ask(t, "egress-block", map[string]any{"host": "*.demo.example", "justification": "Everything, please."})
	id := w.question(t, home)
	r := w.run(t, home, "proposals", "show", id)
	for _, want := range []string{"! adds every method to every path of *.demo.example", "! covers every name below demo.example"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("%q is missing from %s", want, r)
		}
	}
	if r := w.run(t, home, "proposals", "reject", id, "--reason", "Name the host."); r.Status != 0 {
		t.Fatal(r)
	}
	if a := <-answers; a.Status != "rejected" || a.Reason != "Name the host." {
		t.Errorf("the agent is told %+v", a)
	}
	if r := w.run(t, home, "proposals", "approve", id); r.Status == 0 {
		t.Errorf("a rejected proposal was approved: %s", r)
	}
}

// TestTheAgentCannotDecide looks for a way from inside to the queue's decisions.
func TestTheAgentCannotDecide(t *testing.T) {
	w, b, home := asker(t)
	for _, user := range []string{"agent", "root"} {
		r := b.exec(t, user, "grep -E '/queue|proposals|decisions|policy' /proc/self/mountinfo; ls -d /run/bottle /var/log/bottle 2>/dev/null; true")
		if r.Stdout != "" {
			t.Errorf("%s sees %s", user, r.Stdout)
		}
		for _, port := range []string{"9904", "9901", "9902", "22", "80"} { // the admin listeners, and what should not be
			r := b.exec(t, user, "timeout 3 bash -c 'exec 3<>/dev/tcp/supervise/"+port+"' 2>/dev/null && echo open; true")
			if r.Stdout != "" {
				t.Errorf("%s reaches port %s of superviserd", user, port)
			}
		}
		out := b.exec(t, user, "for p in / /mcp /decide /status /metrics; do curl -s -o /dev/null -w '%{http_code} ' -X PUT -d 'verdict: approved' http://supervise:9100$p; done").Stdout
		for _, code := range strings.Fields(out) {
			if code < "400" {
				t.Errorf("PUT as %s: %s", user, out)
			}
		}
	}
	mounts := mustDocker(t, "inspect", "--format", "{{range .Mounts}}{{.Source}} {{.RW}}\n{{end}}", containers(t, b.id)["superviserd"].ID)
	if !strings.Contains(mounts, "/queue/decisions false") || !strings.Contains(mounts, "/queue/proposals true") {
		t.Errorf("superviserd has the mounts\n%s", mounts)
	}
	// Another Host, as a page in the guest's browser would send it.
	if out := b.shell(t, "curl -s -o /dev/null -w '%{http_code}' -H 'Host: evil.example' -d '{}' http://supervise:9100/"); out != "403" {
		t.Errorf("a rebound name: %s", out)
	}
	if r := w.run(t, home, "proposals", "list", "--all", "--json"); strings.TrimSpace(r.Stdout) != "[]" {
		t.Errorf("proposals came about: %s", r)
	}
}

// TestCapabilityAndResume is the story of a program that is missing: asked for,
// approved, built, and there in the resumed bottle, with the home directory as it
// was. Then the launcher is killed, and the bottle is resumed once more.
func TestCapabilityAndResume(t *testing.T) {
	w, b, home := asker(t)
	b.shell(t, "echo kept > ~/workspace/note; ln -s /etc/shadow ~/workspace/link; ! command -v newtool")
	answers := b.ask(t, "capability-block", map[string]any{
		"dockerfile": "RUN printf '#!/bin/sh\\necho the new tool\\n' > /usr/local/bin/newtool && chmod 4755 /usr/local/bin/newtool", "justification": "I need it.",
	})
	id := w.question(t, home)
	if r := w.run(t, home, "proposals", "show", id); !strings.Contains(r.Stdout, "/usr/local/bin/newtool") || !strings.Contains(r.Stdout, "! runs the lines") {
		t.Errorf("the operator is shown %s", r)
	}
	r := w.run(t, home, "proposals", "approve", id)
	if r.Status != 0 || !strings.Contains(r.Stdout, "launcher resume "+b.id) {
		t.Fatalf("approve: %s", r)
	}
	if a := <-answers; a.Status != "approved" && a.Status != "" { // the session may end before the answer is read
		t.Errorf("the agent is told %+v", a)
	}
	for deadline := time.Now().Add(execTime); b.Up(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the session did not end: ", b.Stderr())
		}
	}
	if err := remains(b.id); err != nil {
		t.Error(err)
	}
	const look = "newtool; cat ~/workspace/note; readlink ~/workspace/link; find / -xdev -type f -perm /6000 2>/dev/null; id -un"
	want := "the new tool\nkept\n/etc/shadow\nagent\n"
	if r := w.run(t, home, "resume", b.id, "--yes", "--", "sh", "-c", look); r.Status != 0 || r.Stdout != want {
		t.Fatalf("resumed: %s", r)
	}

	again := w.operator(home).Command(t.Context(), "resume", b.id, "--yes", "--headless")
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	inside := &bottle{&trial.Bottle{Operator: w.operator(home), ID: b.id, State: b.dir}, b.id, b.dir}
	for deadline := time.Now().Add(execTime); w.list(t, home)[0].State != "running"; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the bottle was not resumed")
		}
	}
	inside.shell(t, "echo later >> ~/workspace/note")
	_ = again.Process.Kill() // the launcher alone: its containers stay
	_ = again.Wait()
	r = w.run(t, home, "resume", b.id, "--yes", "--", "sh", "-c", "cat ~/workspace/note")
	if r.Status != 0 || r.Stdout != "kept\nlater\n" {
		t.Errorf("after a crash: %s", r)
	}
	if r := w.run(t, home, "audit", "verify", b.id); r.Status != 0 {
		t.Errorf("audit verify: %s", r)
	}
	if r := w.run(t, home, "cleanup", "--yes"); r.Status != 0 {
		t.Error(r)
	}
	if out := mustDocker(t, "image", "ls", "-q", "bottle/agent-own:"+b.id); out != "" {
		t.Errorf("cleanup left the image %s", out)
	}
}
