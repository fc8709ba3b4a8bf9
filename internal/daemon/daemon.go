// Package daemon is the skeleton that the sidecars share: command line,
// configuration with reload, audit, health, status, metrics and shutdown. A
// sidecar describes itself in a [Spec] and brings a [Service]; everything else
// is here, once.
//
// The subcommands are the same for each: serve (the default), check, validate,
// status, healthcheck and version. The process exits with 0, with 3 when check
// finds a denial, with 2 for bad usage or a bad configuration, else with 1.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Version is the version of the build, set by the linker.
var Version = "dev"

// Spec describes a daemon whose configuration file is a C.
type Spec[C any] struct {
	// Name is the daemon's name, such as "egressd".
	Name string
	// Summary is one line for the usage text.
	Summary string
	// Admin is the admin address that rendered configurations use.
	Admin string
	// Basics picks out of a configuration what the skeleton needs.
	Basics func(*C) Basics
	// Validate judges a configuration without touching the world. It reports
	// a fault by doc.Errorf, with its place.
	Validate func(doc *wire.Doc, c *C) error
	// Check decides about one request as the running daemon would.
	Check func(c *C, method, url string) (policy.Decision, error)
	// New prepares the service: it loads keys and opens listeners.
	New func(c *C, env Env) (Service[C], error)
	// Commands are subcommands that only this daemon has, by name.
	Commands map[string]Command[C]
}

// Basics are the parts of a configuration that every daemon has.
type Basics struct {
	Version int
	Bottle  string
	Admin   string // loopback address of health, status and metrics
	Audit   wire.Audit
}

// Env is what the skeleton lends to a service.
type Env struct {
	Log   *slog.Logger
	Audit *audit.Log
}

// Service is a running daemon's own part.
type Service[C any] interface {
	// Serve works until ctx ends, then shuts down without cutting requests
	// off at once.
	Serve(ctx context.Context) error
	// Reload puts a validated configuration into force, whole or not at all.
	Reload(*C) error
	// Counters returns the numbers that status and metrics show.
	Counters() map[string]uint64
}

// Stdio are the standard streams of a run.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// ExitError carries the exit status of a failed run.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// errDenied is the outcome of check; its explanation is on standard output.
var errDenied = errors.New("denied")

func badInput(format string, args ...any) error {
	return &ExitError{Code: 2, Err: fmt.Errorf(format, args...)}
}

// Main runs a daemon with the process's own arguments and streams and returns
// its exit status.
func Main(run func(ctx context.Context, args, env []string, stdio Stdio) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Environ(), Stdio{os.Stdin, os.Stdout, os.Stderr})
	if err == nil {
		return 0
	}
	if !errors.Is(err, errDenied) {
		fmt.Fprintln(os.Stderr, err)
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return 1
}
