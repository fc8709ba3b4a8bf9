// Package trial runs the launcher's binary as an operator would, and reads what a
// bottle leaves as evidence. It knows the launcher by its command line and its
// files only, so that tests and the demo see what an operator sees.
package trial

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
)

// Bounds of what may never hang.
const (
	startTime = 4 * time.Minute // a machine that is emulated boots slowly
	stopTime  = 60 * time.Second
)

// Binaries is the directory of the commands: BOTTLE_BIN, or otherwise. An error
// says that there are none.
func Binaries(otherwise string) (string, error) {
	dir := os.Getenv("BOTTLE_BIN")
	if dir == "" {
		dir = otherwise
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "launcher")); err != nil {
		return "", fmt.Errorf("there is no launcher in %s, run `make build`: %w", dir, err)
	}
	return dir, nil
}

// Engine reports what is missing for a start: the engine, or an image.
func Engine() error {
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		return fmt.Errorf("there is no Docker engine, run `make docker`: %s", bytes.TrimSpace(out))
	}
	for _, image := range []string{"bottle/egressd:dev", "bottle/pipelockd:dev", "bottle/superviserd:dev", "bottle/agent-shell:dev"} {
		if err := exec.Command("docker", "image", "inspect", image).Run(); err != nil {
			return fmt.Errorf("the image %s is missing, run `make images`", image)
		}
	}
	return nil
}

// Operator is somebody with a home and an environment.
type Operator struct {
	Bin  string // directory of the launcher
	Home string // BOTTLE_HOME
	Dir  string // working directory
	Env  []string
}

// Command prepares a run of the launcher. Should this process die, the launcher
// gets a SIGTERM and takes its bottle down.
func (o Operator) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(o.Bin, "launcher"), args...)
	cmd.Env = append(o.Env[:len(o.Env):len(o.Env)], "BOTTLE_HOME="+o.Home)
	cmd.Dir = o.Dir
	cmd.SysProcAttr = endsWithParent()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	return cmd
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Status         int
}

func (r Result) String() string {
	return fmt.Sprintf("status %d\nstdout: %s\nstderr: %s", r.Status, r.Stdout, r.Stderr)
}

// Finish runs a command to its end, whatever its status.
func Finish(cmd *exec.Cmd, stdin string) (Result, error) {
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &complaint
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() < 0 {
		return Result{}, fmt.Errorf("%q: %w: %s", cmd.Args[1:], err, complaint.String())
	}
	return Result{out.String(), complaint.String(), cmd.ProcessState.ExitCode()}, nil
}

// Bottle is a bottle that a launcher process holds up.
type Bottle struct {
	Operator
	ID    string
	State string // its state directory

	launcher *exec.Cmd
	stderr   buffer
	ended    chan struct{}
}

// Start starts a bottle that stays up until it is stopped, with more flags of start.
func (o Operator) Start(agent string, flags ...string) (*Bottle, error) {
	b := &Bottle{Operator: o, ended: make(chan struct{})}
	b.launcher = o.Command(context.Background(), append([]string{"start", agent, "--yes", "--headless"}, flags...)...)
	b.launcher.Stderr = &b.stderr
	out, err := b.launcher.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.launcher.Start(); err != nil {
		return nil, err
	}
	first := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		if lines.Scan() {
			first <- lines.Text() // the identity, when the bottle is up
		}
		for lines.Scan() {
		}
		_ = b.launcher.Wait() // its state is what counts
		close(b.ended)
	}()
	select {
	case b.ID = <-first:
		b.State = filepath.Join(o.Home, "state", b.ID)
		return b, nil
	case <-b.ended:
		return nil, fmt.Errorf("%v: %s", b.launcher.ProcessState, b.Stderr())
	case <-time.After(startTime):
		_, _ = b.Signal(syscall.SIGTERM)
		return nil, fmt.Errorf("the bottle was not up within %s: %s", startTime, b.Stderr())
	}
}

// PID is the launcher's process.
func (b *Bottle) PID() int { return b.launcher.Process.Pid }

// Stderr is what the launcher has said so far.
func (b *Bottle) Stderr() string { return b.stderr.String() }

// Up reports whether the launcher still runs.
func (b *Bottle) Up() bool {
	select {
	case <-b.ended:
		return false
	default:
		return true
	}
}

// Signal sends the launcher a signal, waits for its end, and returns its status.
func (b *Bottle) Signal(sig syscall.Signal) (int, error) {
	if err := b.launcher.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	select {
	case <-b.ended:
		return b.launcher.ProcessState.ExitCode(), nil
	case <-time.After(stopTime):
		return 0, fmt.Errorf("%s: the launcher did not end within %s of the signal (%s)", b.ID, stopTime, sig)
	}
}

// Freeze stops the launcher's process where it is: it looks after nothing any more
// until SIGKILL ends it.
func (b *Bottle) Freeze() error { return b.launcher.Process.Signal(syscall.SIGSTOP) }

// Exec runs a program in the bottle, as agent or root. Without one, the standard
// input is a script for the shell.
func (b *Bottle) Exec(ctx context.Context, user, stdin string, argv ...string) (Result, error) {
	args := []string{"exec", b.ID, "--user", user}
	if len(argv) > 0 {
		args = append(append(args, "--"), argv...)
	}
	return Finish(b.Command(ctx, args...), stdin)
}

// Audit reads the audit log of a component ("egressd", "launcher").
func (b *Bottle) Audit(component string) ([]audit.Line, error) {
	dir := map[string]string{"egressd": "egress", "pipelockd": "pipelock", "gitgated": "git-gate", "superviserd": "supervise", "gateway": "gateway", "launcher": "launcher"}[component]
	lines, _, err := audit.ReadFrom(filepath.Join(b.State, "audit", dir, component+".jsonl"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return lines, nil
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (s *buffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *buffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
