package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// Streams are the ends of a command in a container.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Terminal asks for a terminal in the container, too.
	Terminal bool
	// EnvFile is a file of NAME=value lines for the command's environment, ""
	// for none: what must be neither in an argument nor in `docker inspect`.
	EnvFile string
}

// ExitStatus is the status of a command that ran in a container.
type ExitStatus int

func (s ExitStatus) Error() string { return fmt.Sprintf("the command ended with status %d", int(s)) }

// Exec runs a command in a container and waits. A status other than 0 is an
// [ExitStatus].
func (e *Engine) Exec(ctx context.Context, container, user string, argv []string, s Streams) error {
	if e.path == "" {
		return errNoClient
	}
	args := []string{"exec", "-i", "--user", user}
	if s.Terminal {
		args[1] = "-it"
	}
	if s.EnvFile != "" {
		args = append(args, "--env-file", s.EnvFile)
	}
	cmd := e.command(ctx, append(append(args, container), argv...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.In, s.Out, s.Err
	// In the launcher's own process group, because it may read the terminal.
	cmd.SysProcAttr = dieWithParent(&syscall.SysProcAttr{})
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return ExitStatus(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("cannot run the command in the bottle: %w", err)
	}
	return nil
}

// Tail returns the last lines of a container's log.
func (e *Engine) Tail(ctx context.Context, container string, lines int) string {
	if e.path == "" {
		return ""
	}
	var out bytes.Buffer
	lined := plain.NewWriter(&out)
	cmd := e.command(ctx, "logs", "--tail", fmt.Sprint(lines), container)
	cmd.Stdout, cmd.Stderr = lined, lined
	_ = cmd.Run()
	_ = lined.Close()
	return strings.TrimSpace(out.String())
}

// SaveLogs writes a container's whole log to w, fit to be printed.
func (e *Engine) SaveLogs(ctx context.Context, container string, w io.Writer) error {
	lined := plain.NewWriter(w)
	cmd := e.command(ctx, "logs", "--timestamps", container)
	cmd.Stdout, cmd.Stderr = lined, lined
	return errors.Join(cmd.Run(), lined.Close())
}

// Logs shows the logs of a project's containers, fit to be printed: the agent
// can write what it likes into its own. Last is how many lines of each, 0 for all.
func (e *Engine) Logs(ctx context.Context, project string, follow bool, last int, s Streams) error {
	if e.path == "" {
		return errNoClient
	}
	args := []string{"compose", "-p", project, "logs", "--timestamps", "--no-color"}
	if follow {
		args = append(args, "--follow")
	}
	if last > 0 {
		args = append(args, "--tail", strconv.Itoa(last))
	}
	cmd := e.command(ctx, args...)
	out, complaint := plain.NewWriter(s.Out), plain.NewWriter(s.Err)
	cmd.Stdout, cmd.Stderr = out, complaint
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := errors.Join(err, out.Close(), complaint.Close()); err != nil {
		return fmt.Errorf("cannot show the logs: %w", err)
	}
	return nil
}

// Validate has a sidecar judge a file in its container.
func (e *Engine) Validate(ctx context.Context, container, binary, file string) error {
	_, err := e.output(ctx, "exec", container, binary, "validate", file)
	return err
}

// Hangup signals a sidecar to read its configuration.
func (e *Engine) Hangup(ctx context.Context, container string) error {
	_, err := e.output(ctx, "kill", "--signal", "HUP", container)
	return err
}

// Status asks a sidecar what is in force, as JSON.
func (e *Engine) Status(ctx context.Context, container, binary string) ([]byte, error) {
	return e.output(ctx, "exec", container, binary, "status")
}

// Kill ends a container at once, if it runs.
func (e *Engine) Kill(ctx context.Context, container string) error {
	_, err := e.output(ctx, "stop", "-t", "1", container)
	return err
}

// maxCopy bounds what is copied out of a container.
const maxCopy = 8 << 30

// CopyOut writes a directory of a container to w, as an archive.
func (e *Engine) CopyOut(ctx context.Context, container, dir string, w io.Writer) error {
	if e.path == "" {
		return errNoClient
	}
	var complaint bytes.Buffer
	cmd := e.command(ctx, "cp", container+":"+dir, "-")
	cmd.Stdout, cmd.Stderr = AtMost(w), &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker cp: %s: %w", lastLine(complaint.String()), err)
	}
	return nil
}

// AtMost passes on what may be copied out of a guest, and fails at more.
func AtMost(w io.Writer) io.Writer { return &atMost{w, maxCopy} }

// atMost fails once more than left bytes were written.
type atMost struct {
	w    io.Writer
	left int64
}

// Write implements [io.Writer].
func (a *atMost) Write(p []byte) (int, error) {
	if a.left -= int64(len(p)); a.left < 0 {
		return 0, fmt.Errorf("it holds more than %d GiB", int64(maxCopy>>30))
	}
	return a.w.Write(p)
}
