package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// Streams are the ends of a command in a container.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Terminal asks for a terminal in the container, too.
	Terminal bool
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
	args := []string{"exec", "-i", "--user", user, container}
	if s.Terminal {
		args[1] = "-it"
	}
	cmd := e.command(ctx, append(args, argv...)...)
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

// Healthy runs a sidecar's own health check once.
func (e *Engine) Healthy(ctx context.Context, container, binary string) error {
	_, err := e.output(ctx, "exec", container, binary, "healthcheck")
	return err
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
// can write what it likes into its own.
func (e *Engine) Logs(ctx context.Context, project string, follow bool, s Streams) error {
	if e.path == "" {
		return errNoClient
	}
	args := []string{"compose", "-p", project, "logs", "--timestamps", "--no-color"}
	if follow {
		args = append(args, "--follow")
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

// Remove stops and deletes the containers and then the networks with a label,
// and comes back only when the engine lists none any more.
func (e *Engine) Remove(ctx context.Context, label string) error {
	ids, err := e.IDs(ctx, "container", label)
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		// Sidecars close their audit log on SIGTERM; the rest is not worth waiting for.
		_, _ = e.output(ctx, append([]string{"stop", "-t", "2"}, ids...)...)
	}
	if err := e.removeAll(ctx, "container", label, "rm", "-f", "-v"); err != nil {
		return err
	}
	return e.removeAll(ctx, "network", label, "network", "rm")
}

// removeAll removes what has a label, again while the engine is still busy with
// a part of it.
func (e *Engine) removeAll(ctx context.Context, kind, label string, args ...string) error {
	var last error
	for range 30 {
		ids, err := e.IDs(ctx, kind, label)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return nil
		}
		if _, last = e.output(ctx, append(args[:len(args):len(args)], ids...)...); last == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("cannot remove every %s of %s: %w", kind, label, last)
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

// Build makes an image from the text of a Dockerfile. There is no context: what
// is built sees no file of the host.
func (e *Engine) Build(ctx context.Context, tag, network, dockerfile string) error {
	if e.path == "" {
		return errNoClient
	}
	var out bytes.Buffer
	cmd := e.command(ctx, "build", "--network", network, "--force-rm", "--tag", tag, "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(dockerfile), &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("the image was not built: %s", lastLine(out.String()))
	}
	return nil
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
	cmd.Stdout, cmd.Stderr = &atMost{w, maxCopy}, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker cp: %s: %w", lastLine(complaint.String()), err)
	}
	return nil
}

// RemoveImage deletes an image by its reference, if there is one.
func (e *Engine) RemoveImage(ctx context.Context, ref string) {
	_, _ = e.output(ctx, "image", "rm", ref)
}

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
