package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDashboard decides on the screen itself, in a real terminal. With
// BOTTLE_CAPTURE=FILE it leaves the screen there, as test/capture reads it.
func TestDashboard(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("there is no tmux to run a terminal in")
	}
	w, b, home := asker(t)
	b.shell(t, "for i in 1 2 3 4 5; do curl -s -o /dev/null "+w.url("open", "/v1/hello")+"; done; curl -s -o /dev/null -d x "+w.url("open", "/v1/hello")+"; curl -s -o /dev/null "+w.url("api", "/v1/jobs")+"; true")
	answers := b.ask(t, "egress-block", map[string]any{
		"host": w.site("api"), "matches": []any{map[string]any{"methods": []string{"POST"}}}, "websocket": true,
		"justification": "The test suite posts its results there, and waits for the verdict.",
	})
	w.question(t, home)

	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("tmux", append([]string{"-S", socket, "-f", "/dev/null"}, args...)...)
		cmd.Env = append(w.environ("NO_COLOR"), "BOTTLE_HOME="+home, "TERM=xterm-256color")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	tmux("new-session", "-d", "-x", "112", "-y", "34", filepath.Join(w.bin, "launcher")+" dashboard")
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", socket, "kill-server").Run() })
	until := func(want string) string {
		t.Helper()
		for deadline := time.Now().Add(execTime); ; time.Sleep(200 * time.Millisecond) {
			screen := tmux("capture-pane", "-p")
			if strings.Contains(screen, want) {
				return screen
			}
			if time.Now().After(deadline) {
				t.Fatalf("the screen does not show %q:\n%s", want, screen)
			}
		}
	}
	screen := until("adds POST to every path of " + w.site("api"))
	for _, want := range []string{b.id, "running", "allowed", "QUESTIONS (1)", "! allows WebSocket", "The test suite posts"} {
		if !strings.Contains(screen, want) {
			t.Errorf("%q is missing from the screen:\n%s", want, screen)
		}
	}
	if file := os.Getenv("BOTTLE_CAPTURE"); file != "" {
		if err := os.WriteFile(file, []byte(tmux("capture-pane", "-e", "-p")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tmux("send-keys", "r")
	until("Reject with which reason?")
	tmux("send-keys", "-l", "Name the paths.")
	tmux("send-keys", "Enter")
	until("Rejected ")
	if a := <-answers; a.Status != "rejected" || a.Reason != "Name the paths." {
		t.Errorf("the agent is told %+v", a)
	}
	tmux("send-keys", "q")
}
