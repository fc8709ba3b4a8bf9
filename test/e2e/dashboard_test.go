package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDashboard decides on the screen itself, in a real terminal. With
// BOTTLE_CAPTURE=FILE it leaves the screen there, as test/capture reads it.
func TestDashboard(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil { // before a bottle is started
		t.Skip("there is no tmux to run a terminal in")
	}
	w, b, home := asker(t)
	b.shell(t, "for i in 1 2 3 4 5; do curl -s -o /dev/null "+w.url("open", "/v1/hello")+"; done; curl -s -o /dev/null -d x "+w.url("open", "/v1/hello")+"; curl -s -o /dev/null "+w.url("api", "/v1/jobs")+"; true")
	answers := b.ask(t, "egress-block", map[string]any{
		"host": w.site("api"), "matches": []any{map[string]any{"methods": []string{"POST"}}}, "websocket": true,
		"justification": "The test suite posts its results there, and waits for the verdict.",
	})
	w.question(t, home)

	terminal := w.terminal(t, home, "dashboard")
	screen := terminal.until("adds POST to every path of " + w.site("api"))
	for _, want := range []string{b.id, "running", "allowed", "QUESTIONS (1)", "! allows WebSocket", "The test suite posts"} {
		if !strings.Contains(screen, want) {
			t.Errorf("%q is missing from the screen:\n%s", want, screen)
		}
	}
	if file := os.Getenv("BOTTLE_CAPTURE"); file != "" {
		if err := os.WriteFile(file, []byte(terminal.tmux("capture-pane", "-e", "-p")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	terminal.tmux("send-keys", "r")
	terminal.until("Reject with which reason?")
	terminal.enter("Name the paths.")
	terminal.until("Rejected ")
	if a := <-answers; a.Status != "rejected" || a.Reason != "Name the paths." {
		t.Errorf("the agent is told %+v", a)
	}
	terminal.tmux("send-keys", "q")
}
