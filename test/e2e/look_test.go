package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestLookingAtABottle asks the commands that only look.
func TestLookingAtABottle(t *testing.T) {
	w, b := inBottle(t)
	running, backend := false, "docker"
	if onMachines() {
		backend = "smolmachines"
	}
	for _, l := range w.list(t, w.home) {
		running = running || l == listed{Identity: b.id, Agent: "tester", Bottle: "tester", Backend: backend, State: "running"}
	}
	if !running {
		t.Errorf("list --json does not show %s as running: %+v", b.id, w.list(t, w.home))
	}
	var info struct {
		Identity string
		CA       map[string]string
		StateDir string `json:"state_dir"`
	}
	if r := w.run(t, w.home, "info", "--json", b.id); r.Status != 0 || json.Unmarshal([]byte(r.Stdout), &info) != nil || info.Identity != b.id || info.StateDir != b.dir || info.CA["egress"] == "" {
		t.Errorf("info --json: %s", r)
	}
	if r := w.run(t, w.home, "info", b.id); r.Status != 0 || !strings.Contains(r.Stdout, info.CA["egress"]) {
		t.Errorf("info: %s", r)
	}
	if r := w.run(t, w.home, "logs", b.id); r.Status != 0 || !strings.Contains(r.Stdout, `"msg":"ready"`) {
		t.Errorf("logs: %s", r)
	}
	if r := w.run(t, w.home, "doctor"); r.Status != 0 || !strings.Contains(r.Stdout, "compose") {
		t.Errorf("doctor: %s", r)
	}
	for line := range strings.Lines(b.Stderr()) {
		if strings.Contains(line, " is up after ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestInitWritesWhatCanBeStarted: the examples are good manifests, and a second
// init leaves them alone.
func TestInitWritesWhatCanBeStarted(t *testing.T) {
	w := need(t)
	home := t.TempDir()
	for _, args := range [][]string{{"init"}, {"start", "demo", "--dry-run"}, {"init"}} {
		if r := w.run(t, home, args...); r.Status != 0 {
			t.Errorf("%q ended with %s", args, r)
		}
	}
}
