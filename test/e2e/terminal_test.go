package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// terminal is a real terminal with a program in it.
type terminal struct {
	t      *testing.T
	socket string
	env    []string
}

// terminal runs a command line of the launcher in a terminal of its own, or skips the
// test where there is none.
func (w *world) terminal(t *testing.T, home, command string, changes ...string) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("there is no tmux to run a terminal in")
	}
	s := &terminal{t: t, socket: filepath.Join(t.TempDir(), "tmux"),
		env: append(w.environ(append(changes, "NO_COLOR")...), "BOTTLE_HOME="+home, "TERM=xterm-256color")}
	s.tmux("new-session", "-d", "-x", "112", "-y", "34", filepath.Join(w.bin, "launcher")+" "+command, ";", "set-option", "remain-on-exit", "on")
	end := func() error {
		_ = exec.Command("tmux", "-S", s.socket, "kill-server").Run() // it may have ended by itself
		return nil
	}
	t.Cleanup(func() { _ = end() })
	w.later(end) // a signal ends the tests without their cleanup
	return s
}

func (s *terminal) tmux(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", s.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// until waits for a text on the screen, and returns the screen.
func (s *terminal) until(want string) string {
	s.t.Helper()
	for deadline := time.Now().Add(execTime); ; time.Sleep(200 * time.Millisecond) {
		screen := s.tmux("capture-pane", "-p")
		if strings.Contains(screen, want) {
			return screen
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the screen does not show %q:\n%s", want, screen)
		}
	}
}

// record keeps every screen that differs from the one before, as test/capture reads
// them, until stop.
func (s *terminal) record() (stop func() []byte) {
	done, kept := make(chan struct{}), make(chan []byte)
	go func() {
		var all []byte
		began, last := time.Now(), ""
		for ending := false; ; { // one more screen after the end is called
			cmd := exec.Command("tmux", "-S", s.socket, "-f", "/dev/null", "capture-pane", "-e", "-p")
			cmd.Env = s.env
			if out, err := cmd.Output(); err == nil && string(out) != last {
				last = string(out)
				all = fmt.Appendf(all, "\f%d\n%s", time.Since(began).Milliseconds(), out)
			}
			if ending {
				kept <- all
				return
			}
			select {
			case <-done:
				ending = true
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() []byte { close(done); return <-kept }
}

// enter types a line.
func (s *terminal) enter(text string) {
	s.t.Helper()
	s.tmux("send-keys", "-l", text)
	time.Sleep(500 * time.Millisecond) // or it is taken for pasted text, in which a return is one more character
	s.tmux("send-keys", "Enter")
}
