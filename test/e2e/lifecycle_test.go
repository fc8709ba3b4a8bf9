package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
)

// listed is an object of `launcher list --json`.
type listed struct{ Identity, Agent, Bottle, Backend, State, Name string }

func (w *world) list(t *testing.T, home string) []listed {
	t.Helper()
	r := w.run(t, home, "list", "--json")
	var all []listed
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil || r.Status != 0 {
		t.Fatalf("list --json: %v: %s", err, r)
	}
	return all
}

// stopped checks what a bottle leaves when it was taken down in an orderly way:
// its record, and nothing that could act.
func (w *world) stopped(t *testing.T, home string) {
	t.Helper()
	all := w.list(t, home)
	if len(all) != 1 || all[0].State != "stopped" {
		t.Fatalf("the home lists %+v, want one stopped bottle", all)
	}
	if err := remains(all[0].Identity); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(home, "state", all[0].Identity)
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(path, ".key") || e.Name() == "key.pem") {
			t.Errorf("the key %s is left", path)
		}
		return nil
	})
	for _, file := range []string{"audit/egress/egressd.jsonl", "audit/pipelock/pipelockd.jsonl"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
			continue
		}
		lines, err := audit.Verify(bytes.NewReader(data))
		if err != nil || lines < 2 || !strings.Contains(string(data), `"event":"stop"`) {
			t.Errorf("%s has %d good lines (%v), or no last word:\n%s", file, lines, err, data)
		}
	}
}

func TestExitStatusAndOutputPassThrough(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	ctx, cancel := context.WithTimeout(t.Context(), execTime)
	defer cancel()
	r := finish(t, w.operator(home).Command(ctx, "start", "other", "--yes", "--", "sh", "-c", "cat; echo complaint >&2; exit 7"), "typed\n")
	if r.Status != 7 || r.Stdout != "typed\n" || !strings.Contains(r.Stderr, "complaint\n") {
		t.Errorf("the command ended with %s", r)
	}
	w.stopped(t, home)
	if r := w.run(t, home, "cleanup", "--yes"); r.Status != 0 || len(ofHome(t, home)) > 0 {
		t.Errorf("after cleanup (%s) there is %v", r, ofHome(t, home))
	}
}

func TestSIGTERMTakesTheBottleDown(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	b := w.mustStart(t, home, "tester")
	if status, err := b.Signal(syscall.SIGTERM); err != nil || status != 143 {
		t.Errorf("the launcher ended with %d (%v), not 143", status, err)
	}
	w.stopped(t, home)
}

// TestSIGINTWhileACommandRuns is Ctrl-C without a terminal.
func TestSIGINTWhileACommandRuns(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	cmd := w.operator(home).Command(t.Context(), "start", "other", "--yes", "--", "sh", "-c", "echo ready; sleep 600")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ready [6]byte
	if _, err := out.Read(ready[:]); err != nil {
		t.Fatal(err)
	}
	if status := signalled(t, cmd, syscall.SIGINT); status != 130 {
		t.Errorf("the launcher ended with %d, not 130", status)
	}
	w.stopped(t, home)
}

// TestSIGTERMDuringTheStart comes when the first container is there.
func TestSIGTERMDuringTheStart(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	cmd := w.operator(home).Command(t.Context(), "start", "other", "--yes", "--headless")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(execTime); mustDocker(t, "ps", "-aq", "--filter", "label=bottle.owner="+home) == ""; {
		if time.Now().After(deadline) {
			t.Fatal("no container appeared")
		}
	}
	if status := signalled(t, cmd, syscall.SIGTERM); status != 143 {
		t.Errorf("the launcher ended with %d, not 143", status)
	}
	// Depending on the moment the bottle was never up, and has left nothing, or
	// was, and has left its record.
	for _, l := range w.list(t, home) {
		if l.State != "stopped" {
			t.Errorf("left %+v", l)
		}
		if err := remains(l.Identity); err != nil {
			t.Error(err)
		}
	}
	if left := mustDocker(t, "ps", "-aq", "--filter", "label=bottle.owner="+home); left != "" {
		t.Errorf("containers are left: %s", left)
	}
	if left := mustDocker(t, "network", "ls", "-q", "--filter", "label=bottle.owner="+home); left != "" {
		t.Errorf("networks are left: %s", left)
	}
}

// signalled sends a signal and waits for the end.
func signalled(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) int {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(execTime, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // the status is what counts
	return cmd.ProcessState.ExitCode()
}

// TestSIGKILLThenCleanup kills first the proxy, then the launcher: no door opens,
// and cleanup finds everything.
func TestSIGKILLThenCleanup(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	b := w.mustStart(t, home, "tester")
	url := w.url("api", "/v1/hello")
	b.shell(t, "curl -sS --fail -o /dev/null "+url)

	// A launcher that sees the proxy's end takes the bottle down; this one is kept
	// from seeing it.
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	mustDocker(t, "kill", containers(t, b.id)["egressd"].ID)
	before := w.upstream.Mark()
	r := b.exec(t, "agent", "curl -s -m 3 -o /dev/null "+url+" && echo through; curl -s -m 3 -k --noproxy '*' -o /dev/null https://"+upstreamAddress+":"+w.port+"/ && echo past; true")
	if r.Stdout != "" {
		t.Errorf("with the proxy dead: %s", r)
	}
	sawNothing(t, w.upstream, before)

	if _, err := b.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if all := w.list(t, home); len(all) != 1 || all[0].State != "orphaned" {
		t.Errorf("after SIGKILL the home lists %+v", all)
	}
	if remains(b.id) == nil {
		t.Error("nothing is left to clean up, so this proves nothing")
	}
	if r := w.run(t, home, "cleanup", "--yes"); r.Status != 0 {
		t.Errorf("cleanup ended with %s", r)
	}
	if err := remains(b.id); err != nil {
		t.Error(err)
	}
	if left := ofHome(t, home); len(left) > 0 {
		t.Errorf("cleanup left %v", left)
	}
	if r := w.run(t, home, "cleanup", "--yes"); r.Status != 0 {
		t.Errorf("a second cleanup ended with %s", r)
	}
}

// TestCleanupSparesTheLiving runs while the shared bottle is up.
func TestCleanupSparesTheLiving(t *testing.T) {
	w, b := inBottle(t)
	if r := w.run(t, w.home, "cleanup", "--yes"); r.Status != 0 || !strings.Contains(r.Stderr+r.Stdout, b.id) {
		t.Errorf("cleanup ended with %s", r)
	}
	before := w.upstream.Mark()
	b.shell(t, "curl -sS --fail -o /dev/null "+w.url("api", "/v1/hello"))
	sawOne(t, w.upstream, before)
}

// status is what `egressd status` prints.
type status struct {
	ConfigSHA256 string `json:"config_sha256"`
	LastError    string `json:"last_error"`
}

// TestReload changes egressd's configuration under way: a bad file changes
// nothing and is reported, a good one holds at once.
func TestReload(t *testing.T) {
	w, b := inBottle(t)
	egress := containers(t, b.id)["egressd"].ID
	file := filepath.Join(b.dir, "config", "egressd.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(t *testing.T, data []byte, until func(status) bool) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil { // in place: owner and mode stay
			t.Fatal(err)
		}
		mustDocker(t, "kill", "-s", "HUP", egress)
		for deadline := time.Now().Add(lineTime); ; time.Sleep(50 * time.Millisecond) {
			var s status
			if err := json.Unmarshal([]byte(mustDocker(t, "exec", egress, "/egressd", "status")), &s); err != nil {
				t.Fatal(err)
			}
			if until(s) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("after the reload the status is %+v", s)
			}
		}
	}
	sha := func(data []byte) func(status) bool {
		return func(s status) bool { return s.ConfigSHA256 == fmt.Sprintf("%x", sha256Of(data)) && s.LastError == "" }
	}
	code := func(path string) string {
		return b.shell(t, "curl -sS -o /dev/null -w '%{http_code}' "+w.url("api", path))
	}
	t.Cleanup(func() { reload(t, good, sha(good)) })

	bad := bytes.Replace(good, []byte("routes:"), []byte("roots:"), 1)
	reload(t, bad, func(s status) bool {
		return strings.Contains(s.LastError, `"roots"`) && s.ConfigSHA256 == fmt.Sprintf("%x", sha256Of(good))
	})
	before := w.upstream.Mark()
	if a, d := code("/v1/hello?bad"), code("/admin"); a != "200" || d != "403" {
		t.Errorf("with a bad file: %s for the allowed path, %s for the denied", a, d)
	}
	if r := sawOne(t, w.upstream, before); r.URI != "/v1/hello?bad" {
		t.Errorf("the upstream saw %s", r.URI)
	}
	b.awaitLine(t, "egressd", "the refused reload", func(l audit.Line) bool {
		return l.Event == "reload" && strings.HasPrefix(l.Detail, "refused: ")
	})

	changed := bytes.Replace(good, []byte("/readonly"), []byte("/admin"), 1)
	reload(t, changed, sha(changed))
	before = w.upstream.Mark()
	if a, d := code("/admin"), code("/readonly"); a != "200" || d != "403" {
		t.Errorf("with the new file: %s for the new path, %s for the old", a, d)
	}
	if r := sawOne(t, w.upstream, before); r.URI != "/admin" {
		t.Errorf("the upstream saw %s", r.URI)
	}
}
