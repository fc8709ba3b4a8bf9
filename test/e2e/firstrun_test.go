package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestFirstRun is what a person sees who starts a bottle in a terminal: what it may
// do, a question, a shell in which one request is allowed and another is not, and what
// is said at the end. With BOTTLE_CAPTURE=FILE it leaves the screens there, as
// test/capture reads them.
func TestFirstRun(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("there is no tmux to run a terminal in")
	}
	w := need(t)
	home := w.newHome(t)
	if err := w.writeManifest(home, "demo", askerBottle); err != nil {
		t.Fatal(err)
	}
	before := w.upstream.Mark()
	s := w.terminal(t, home, "start demo")
	stop := s.record()
	if sheet := s.until("Start this bottle? [y/N]"); !strings.Contains(sheet, "GET, below /v1/") {
		t.Errorf("the sheet is\n%s", sheet)
	}
	s.enter("y")
	s.until("@demo-")
	s.tmux("send-keys", "-l", "clear")
	s.tmux("send-keys", "Enter")
	s.enter("curl -s " + w.url("open", "/v1/hello") + " -o /dev/null -w '%{http_code}\\n'")
	s.until("\n200")
	s.enter("curl -s -d 'work: mine' " + w.url("open", "/v1/hello") + " | head -c 300; echo")
	s.until("method_not_allowed")
	s.enter("exit")
	end := s.until("launcher resume demo-")
	if !strings.Contains(end, "is stopped") {
		t.Errorf("at the end:\n%s", end)
	}
	screens := stop()
	if file := os.Getenv("BOTTLE_CAPTURE"); file != "" {
		if err := os.WriteFile(file, screens, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if seen := seenSince(t, w.upstream, before); len(seen) != 1 || seen[0].Method != "GET" {
		t.Errorf("the upstream saw %+v", seen)
	}
}
