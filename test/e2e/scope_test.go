package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestApprovedForGood writes an approval into the manifest: another bottle has it
// from its start, and the comments of the operator's file stay.
func TestApprovedForGood(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	if err := w.writeManifest(home, "asker", strings.Replace(askerBottle, "egress:\n", "# What the work needs.\negress:\n", 1)); err != nil {
		t.Fatal(err)
	}
	b := w.mustStart(t, home, "asker")
	answers := b.ask(t, "egress-block", map[string]any{
		"host": w.site("api"), "matches": []any{map[string]any{"path": map[string]any{"prefix": "/v1/"}, "methods": []string{"GET"}}}, "justification": "To read jobs.",
	})
	id := w.question(t, home)
	if r := w.run(t, home, "proposals", "approve", id, "--good"); r.Status != 0 {
		t.Fatal(r)
	}
	if a := <-answers; a.Status != "approved" || a.Scope != "for-good" || a.Expires != "" {
		t.Errorf("the agent is told %+v", a)
	}
	if _, err := b.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(home, "bottles", "asker.md"))
	if err != nil || !strings.Contains(string(text), "# What the work needs.") || !strings.Contains(string(text), "host: "+w.site("api")) {
		t.Errorf("%v: the manifest is\n%s", err, text)
	}
	r := w.run(t, home, "start", "asker", "--yes", "--", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", w.url("api", "/v1/jobs"))
	if r.Status != 0 || r.Stdout != "200" {
		t.Errorf("the next bottle: %s", r)
	}
}

// TestWhatARouteOpenedEndsWithIt holds a WebSocket open over the end of the
// approval that allowed it.
func TestWhatARouteOpenedEndsWithIt(t *testing.T) {
	w, b, home := asker(t)
	const hold = 30 * time.Second
	answers := b.ask(t, "egress-block", map[string]any{
		"host": w.site("api"), "matches": []any{map[string]any{"path": map[string]any{"exact": "/v1/ws"}, "methods": []string{"GET"}}}, "websocket": true, "justification": "To watch.",
	})
	id := w.question(t, home)
	if r := w.run(t, home, "proposals", "approve", id, "--for", hold.String()); r.Status != 0 {
		t.Fatal(r)
	}
	a := <-answers
	ends, err := time.Parse(time.RFC3339, a.Expires)
	if err != nil {
		t.Fatalf("%v in %+v", err, a)
	}
	var fields strings.Builder
	for _, f := range upgrade {
		fmt.Fprintf(&fields, " -H '%s'", f)
	}
	// The echo of a WebSocket never ends by itself.
	out := b.exec(t, "agent", "timeout 80 curl -sN --http1.1 -o /dev/null -w '%{http_code} '"+fields.String()+" "+w.url("api", "/v1/ws")+"; test $? != 124 && date +%s").Stdout
	code, at, _ := strings.Cut(strings.TrimSpace(out), " ")
	closed, err := strconv.ParseInt(strings.TrimSpace(at), 10, 64)
	if code != "101" || err != nil {
		t.Fatalf("the socket was not opened, or outlived its route: %q", out)
	}
	if closed < ends.Unix() {
		t.Errorf("the socket was closed %d s before its route ended", ends.Unix()-closed)
	}
}
