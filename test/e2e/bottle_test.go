package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/test/trial"
)

// execTime bounds one program in a bottle.
const execTime = 90 * time.Second

// machineTime bounds what happens in a virtual machine, which is emulated here and
// there, on a host that has other things to do.
const machineTime = 6 * time.Minute

// bottle is a bottle under test.
type bottle struct {
	*trial.Bottle
	id, dir string
}

// environ is the operator's environment, with the tokens, and with changes
// ("NAME=value", or "NAME" to remove it).
func (w *world) environ(changes ...string) []string {
	env := append(os.Environ(), "E2E_TOKEN="+w.token, "E2E_HOST_VALUE=a value $of 'the host'")
	for name, value := range w.keys {
		env = append(env, name+"="+value)
	}
	for _, change := range changes {
		name, _, set := strings.Cut(change, "=")
		kept := env[:0]
		for _, kv := range env {
			if !strings.HasPrefix(kv, name+"=") {
				kept = append(kept, kv)
			}
		}
		if env = kept; set {
			env = append(env, change)
		}
	}
	return env
}

func (w *world) operator(home string, changes ...string) trial.Operator {
	return trial.Operator{Bin: w.bin, Home: home, Dir: w.dir, Env: w.environ(changes...)}
}

// start starts a bottle that stays up until it is stopped.
func (w *world) start(home, agent string, flags ...string) (*bottle, error) {
	return w.startAs(w.operator(home), agent, flags...)
}

func (w *world) startAs(o trial.Operator, agent string, flags ...string) (*bottle, error) {
	b, err := o.Start(agent, flags...)
	if err != nil {
		return nil, err
	}
	started := &bottle{b, b.ID, b.State}
	w.later(started.close)
	return started, nil
}

// mustStart is start for a test; the bottle ends with it.
func (w *world) mustStart(t *testing.T, home, agent string, flags ...string) *bottle {
	t.Helper()
	return w.mustStartAs(t, w.operator(home), agent, flags...)
}

// mustStartAs is mustStart for an operator with an environment of their own.
func (w *world) mustStartAs(t *testing.T, o trial.Operator, agent string, flags ...string) *bottle {
	t.Helper()
	b, err := w.startAs(o, agent, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// close takes the bottle down, if it is still up, and reports what is left.
func (b *bottle) close() error {
	if !b.Up() {
		return nil
	}
	if _, err := b.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return remains(b.id)
}

// exec runs a program in the bottle, as agent or root.
func (b *bottle) exec(t *testing.T, user, stdin string, argv ...string) trial.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), execTime)
	defer cancel()
	r, err := b.Exec(ctx, user, stdin, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs the launcher to its end.
func (w *world) run(t *testing.T, home string, args ...string) trial.Result {
	t.Helper()
	return w.runFor(t, execTime, home, args...)
}

// runFor is run with another bound.
func (w *world) runFor(t *testing.T, bound time.Duration, home string, args ...string) trial.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	return finish(t, w.operator(home).Command(ctx, args...), "")
}

func finish(t *testing.T, cmd *exec.Cmd, stdin string) trial.Result {
	t.Helper()
	r, err := trial.Finish(cmd, stdin)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shell runs a script as the agent and returns what it printed; the script must
// succeed.
func (b *bottle) shell(t *testing.T, script string) string {
	t.Helper()
	r := b.exec(t, "agent", script)
	if r.Status != 0 {
		t.Fatalf("the script ended with %s", r)
	}
	return r.Stdout
}

// python runs a program of testdata on an input and decodes what it printed.
func (b *bottle) python(t *testing.T, user, program string, in, out any) {
	t.Helper()
	r := b.script(t, user, program, in)
	if r.Status != 0 {
		t.Fatalf("%s ended with %s", program, r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), out); err != nil {
		t.Fatalf("%s: %v: %s", program, err, r)
	}
}

// script runs a program of testdata, however it ends.
func (b *bottle) script(t *testing.T, user, program string, in any) trial.Result {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", program))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return b.exec(t, user, string(data), "python3", "-c", string(source))
}

// auditOf reads the audit log of a component.
func (b *bottle) auditOf(t *testing.T, component string) []audit.Line {
	t.Helper()
	lines, err := b.Audit(component)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
