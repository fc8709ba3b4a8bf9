// Package engine drives a Docker engine through its command line client: the
// one interface that is the same on every engine, context and platform, and
// that the operator can repeat by hand.
//
// The client gets an environment of a few names, never the launcher's own, so
// that no token of the operator's shell reaches it or a plugin of it.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// passed are the variables of the operator's that the client needs to find its
// engine.
var passed = []string{
	"PATH", "HOME", "USER", "TERM", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK",
	"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION",
}

// Engine runs the docker client.
type Engine struct {
	path string
	env  []string
}

// Problem is a fault of the engine that the operator can mend.
type Problem struct{ What, Remedy string }

func (p *Problem) Error() string { return p.What + "; " + p.Remedy }

// New prepares to run the client that an environment leads to. It fails only
// when it is used.
func New(getenv func(string) string) *Engine {
	e := &Engine{}
	for _, name := range passed {
		if v := getenv(name); v != "" {
			e.env = append(e.env, name+"="+v)
		}
	}
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		path := filepath.Join(dir, "docker")
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0 && filepath.IsAbs(path) {
			e.path = path
			break
		}
	}
	return e
}

// errNoClient is the fault of a host without the docker command.
var errNoClient = &Problem{"there is no docker command in PATH", "install Docker, or run `make docker`"}

// command builds a call of the client in a process group of its own: a Ctrl-C at
// the terminal is for the launcher, which must be able to clean up.
func (e *Engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.path, args...)
	cmd.Env = e.env
	cmd.Dir = "/"
	cmd.SysProcAttr = dieWithParent(&syscall.SysProcAttr{Setpgid: true})
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 3 * time.Second
	return cmd
}

// output runs the client and returns what it printed. An error carries the last
// line of its complaint.
func (e *Engine) output(ctx context.Context, args ...string) ([]byte, error) {
	if e.path == "" {
		return nil, errNoClient
	}
	cmd := e.command(ctx, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return out.Bytes(), fmt.Errorf("docker %s: %s: %w", args[0], lastLine(complaint.String()), err)
	}
	return out.Bytes(), nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return plain.Line(lines[len(lines)-1])
}

// Info is what the launcher needs to know of an engine.
type Info struct {
	ServerVersion   string
	Runtimes        map[string]any
	SecurityOptions []string
	NCPU            int
	ServerErrors    []string
}

// Runsc reports whether the engine has gVisor.
func (i *Info) Runsc() bool { _, ok := i.Runtimes["runsc"]; return ok }

// Rootless reports whether the engine maps users, so that a sidecar could not
// read files that belong to its user on the host.
func (i *Info) Rootless() bool {
	for _, o := range i.SecurityOptions {
		if strings.Contains(o, "rootless") || strings.Contains(o, "userns") {
			return true
		}
	}
	return false
}

// Info asks the engine about itself; an error says that there is none.
func (e *Engine) Info(ctx context.Context) (*Info, error) {
	out, err := e.output(ctx, "info", "--format", "{{json .}}")
	var problem *Problem
	if errors.As(err, &problem) || ctx.Err() != nil {
		return nil, err
	}
	var info Info
	jerr := json.Unmarshal(out, &info)
	if len(info.ServerErrors) > 0 {
		err = errors.New(strings.Join(info.ServerErrors, "; "))
	}
	if err == nil {
		err = jerr
	}
	if err != nil {
		return nil, &Problem{"the Docker engine does not answer (" + oneLine(err) + ")", "start it, or run `make docker`"}
	}
	return &info, nil
}

func oneLine(err error) string { return plain.Line(err.Error()) }

// MinCompose is the oldest version of the Compose plugin that the launcher
// relies on, for depends_on with required and for secrets from files.
const MinCompose = "2.20.0"

// Compose returns the version of the Compose plugin.
func (e *Engine) Compose(ctx context.Context) (string, error) {
	out, err := e.output(ctx, "compose", "version", "--short")
	var problem *Problem
	if errors.As(err, &problem) || ctx.Err() != nil {
		return "", err
	}
	if err != nil {
		return "", &Problem{"the Compose plugin of docker is missing", "install it, or run `make docker`"}
	}
	v := strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
	if older(v, MinCompose) {
		return v, &Problem{fmt.Sprintf("the Compose plugin is %s, older than %s", v, MinCompose), "update it, or run `make docker`"}
	}
	return v, nil
}

// older compares versions by number; one that is not numbers counts as new.
func older(v, limit string) bool {
	var a, b [3]int
	if n, _ := fmt.Sscanf(v, "%d.%d.%d", &a[0], &a[1], &a[2]); n < 2 {
		return false
	}
	_, _ = fmt.Sscanf(limit, "%d.%d.%d", &b[0], &b[1], &b[2])
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// Images returns the ids of images; a missing one is a [Problem].
func (e *Engine) Images(ctx context.Context, refs ...string) (map[string]string, error) {
	ids := map[string]string{}
	out, err := e.output(ctx, append([]string{"image", "inspect", "--format", "{{.Id}}"}, refs...)...)
	if lines := strings.Fields(string(out)); err == nil && len(lines) == len(refs) {
		for i, ref := range refs {
			ids[ref] = lines[i]
		}
		return ids, nil
	}
	var problem *Problem
	if errors.As(err, &problem) || ctx.Err() != nil {
		return nil, err
	}
	for _, ref := range refs { // which one is it
		if _, err := e.output(ctx, "image", "inspect", "--format", "{{.Id}}", ref); err != nil {
			return nil, &Problem{"the image " + ref + " is missing", "run `make images`"}
		}
	}
	return nil, fmt.Errorf("cannot look at the images: %w", err)
}

// Up starts a project. What Compose prints goes to log.
func (e *Engine) Up(ctx context.Context, project, dir string, env []string, log io.Writer) error {
	if e.path == "" {
		return errNoClient
	}
	cmd := e.command(ctx, "compose", "-p", project, "--project-directory", dir, "-f", filepath.Join(dir, "compose.yaml"), "up", "-d", "--no-build")
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], env...)
	var out bytes.Buffer
	cmd.Stdout = io.MultiWriter(log, &out)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			// The client is gone; its plugin must not go on creating things.
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			return context.Cause(ctx)
		}
		return fmt.Errorf("docker compose up failed: %s", lastLine(out.String()))
	}
	return nil
}
