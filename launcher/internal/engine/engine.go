// Package engine drives a Docker engine. What makes, starts, looks at and removes
// things asks the engine's own interface, which costs no process: each call of the
// client costs a tenth of a second of a processor, and Compose more. What has a
// terminal or prints for the operator (exec, logs, build, cp) is the client's, and
// so is the way to an engine that is not on this machine.
//
// The client gets an environment of a few names, never the launcher's own, so
// that no token of the operator's shell reaches it or a plugin of it.
package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// passed are the variables of the operator's that the client needs to find its
// engine.
var passed = []string{
	"PATH", "HOME", "USER", "TERM", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK",
	"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION",
}

// Engine is an engine and its client. It is safe for concurrent use.
type Engine struct {
	path string
	env  []string
	api  *api
}

// Problem is a fault of the engine that the operator can mend.
type Problem struct{ What, Remedy string }

func (p *Problem) Error() string { return p.What + "; " + p.Remedy }

// New prepares to run the client that an environment leads to. It fails only
// when it is used.
func New(getenv func(string) string) *Engine {
	e := &Engine{}
	e.api = e.newAPI(getenv)
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
	// DockerRootDir is where the engine keeps images and containers, on its own
	// machine.
	DockerRootDir string
	// SystemTime is the engine's clock.
	SystemTime time.Time
	Plugins    struct{ Log []string }
}

// Runsc reports whether the engine has gVisor.
func (i *Info) Runsc() bool { _, ok := i.Runtimes[compose.GVisor]; return ok }

// Podman reports whether the engine is Podman behind Docker's interface, by a log
// driver that no Docker has.
func (i *Info) Podman() bool { return slices.Contains(i.Plugins.Log, "k8s-file") }

// Unfit says why the engine cannot keep a bottle's invariants, nil when nothing is
// known against it. What it really does is looked at after each start.
func (i *Info) Unfit() error {
	switch {
	case i.Podman():
		return &Problem{
			"this engine is Podman " + i.ServerVersion + ", which takes the seccomp profile that Compose sends for the name of a file, so that no container of a bottle would start",
			"point DOCKER_HOST or DOCKER_CONTEXT at a Docker engine",
		}
	case i.mapsUsers():
		return &Problem{
			"this engine maps users (rootless or userns-remap), so its sidecars, which are not root, could not read keys that belong to this user alone",
			"use an engine that does not",
		}
	}
	return nil
}

func (i *Info) mapsUsers() bool {
	for _, o := range i.SecurityOptions {
		if strings.Contains(o, "rootless") || strings.Contains(o, "userns") {
			return true
		}
	}
	return false
}

// Info asks the engine about itself; an error says that there is none.
func (e *Engine) Info(ctx context.Context) (*Info, error) {
	var info Info
	err := e.call(ctx, "GET", "/info", nil, nil, &info)
	var problem *Problem
	if errors.As(err, &problem) || ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, &Problem{"the Docker engine does not answer (" + oneLine(err) + ")", "start it, or run `make docker`"}
	}
	return &info, nil
}

func oneLine(err error) string { return plain.Line(err.Error()) }

// MinCompose is the oldest version of the Compose plugin that the launcher
// relies on for `logs`, and a rendered bundle for depends_on with required and for
// secrets from files.
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
	for _, ref := range refs {
		var image struct{ ID string }
		err := e.call(ctx, "GET", "/images/"+ref+"/json", nil, nil, &image)
		if missing(err) {
			return nil, &Problem{"the image " + ref + " is missing", "run `make images`"}
		}
		if err != nil {
			return nil, fmt.Errorf("cannot look at the image %s: %w", ref, err)
		}
		ids[ref] = image.ID
	}
	return ids, nil
}
