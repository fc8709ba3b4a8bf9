// Package command is the launcher's command line: it reads arguments, asks the
// operator, prints results, and leaves the work to the packages beside it.
//
// Exit statuses: that of the command that ran in the bottle; 2 when the
// operator has something to mend (arguments, manifest, environment, engine) and
// nothing was left behind; 1 for other failures; 128 and the signal's number
// after a signal.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
)

// Stdio are the standard streams of a run.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Interrupted is the cause of a run that a signal ended.
type interrupted struct{ signal os.Signal }

// Interrupted makes the cause with which main cancels a run on a signal.
func Interrupted(s os.Signal) error { return interrupted{s} }

func (i interrupted) Error() string { return "ended by the signal " + i.signal.String() }

// mendable is an error about what the operator gave.
type mendable struct{ error }

func (m mendable) Unwrap() error { return m.error }

// mend marks an error as one that the operator can mend.
func mend(err error) error {
	if err == nil {
		return nil
	}
	return mendable{err}
}

func mendf(format string, args ...any) error { return mend(fmt.Errorf(format, args...)) }

// Status is the exit status of a run.
func Status(err error) int {
	var (
		exit    engine.ExitStatus
		signal  interrupted
		input   mendable
		problem *engine.Problem
		fault   *wire.Error
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &signal):
		if n, ok := signal.signal.(syscall.Signal); ok {
			return 128 + int(n)
		}
		return 1
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &input), errors.As(err, &problem), errors.As(err, &fault):
		return 2
	}
	return 1
}

// run is one run of the launcher.
type run struct {
	stdio Stdio
	env   map[string]string
	// tail is what stands after "--", nil when there is no "--".
	tail []string
	// buildNetwork is what the build of an agent's image may reach.
	buildNetwork string
}

// Run runs the launcher. Args begin with the program's name. The error has been
// printed already; [Status] gives the exit status for it.
func Run(ctx context.Context, args, env []string, stdio Stdio) error {
	r := &run{stdio: stdio, env: map[string]string{}}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		r.env[k] = v
	}
	app := r.app()
	if len(args) > 1 && args[1] == completeWord {
		r.complete(app, args[2:])
		return nil
	}
	args, tail, err := arrange(app, args)
	if err == nil {
		r.tail = tail
		err = app.RunContext(ctx, args)
	}
	var exit engine.ExitStatus
	if err != nil && !errors.As(err, &exit) {
		complain(stdio.Err, err)
	}
	return err
}

func (r *run) app() *cli.App {
	app := &cli.App{
		Name: "launcher", Usage: "start agents in bottles, and take them down again",
		Writer: r.stdio.Out, ErrWriter: r.stdio.Err,
		HideVersion: true, HideHelpCommand: false,
		ExitErrHandler: func(*cli.Context, error) {}, // nothing below main exits
		OnUsageError:   usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return mendf("there is no command %q%s; `launcher help` lists them", c.Args().First(), near(c.App, c.Args().First()))
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			r.initCommand(), r.checkCommand(), r.startCommand(), r.resumeCommand(), r.copyOutCommand(), r.attachCommand(), r.execCommand(), r.listCommand(), r.infoCommand(),
			r.logsCommand(), r.verifyCommand(), r.probeCommand(), r.holdCommand(), r.renderCommand(), r.dashboardCommand(), r.proposalsCommand(), r.auditCommand(), r.cleanupCommand(), r.doctorCommand(), r.completionCommand(), r.manCommand(), r.versionCommand(),
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageError
		c.HideHelpCommand = true
	}
	return app
}

// near suggests the command that somebody may have meant.
func near(app *cli.App, word string) string {
	var names []string
	for _, c := range app.Commands {
		names = append(names, c.Name)
	}
	if hint := wire.DidYouMean(word, names); strings.HasPrefix(hint, " (did you mean") {
		return hint
	}
	return ""
}

func usageError(_ *cli.Context, err error, _ bool) error { return mend(err) }

func (r *run) getenv(name string) string { return r.env[name] }

func (r *run) lookup(name string) (string, bool) { v, ok := r.env[name]; return v, ok }

func (r *run) home() (bottle.Home, error) {
	h, err := bottle.FindHome(r.getenv)
	return h, mend(err)
}

func (r *run) host() (*launch.Host, error) {
	home, err := r.home()
	if err != nil {
		return nil, err
	}
	return &launch.Host{
		Home: home, Engine: engine.New(r.getenv), Getenv: r.getenv, Lookup: r.lookup,
		UID: os.Getuid(), GID: os.Getgid(), Progress: r.stdio.Err,
	}, nil
}

// load reads an agent with its bottle and prints the warnings.
func (r *run) load(agent string) (*manifest.Launch, error) {
	home, err := r.home()
	if err != nil {
		return nil, err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("cannot find the working directory: %w", err)
	}
	l, err := manifest.Source{Home: home, Cwd: cwd, UserHome: r.getenv("HOME")}.Load(agent)
	if err != nil {
		return nil, mend(err)
	}
	for _, w := range l.Warnings {
		r.note("warning: %s", w)
	}
	return l, nil
}

func (r *run) note(format string, args ...any) { fmt.Fprintf(r.stdio.Err, format+"\n", args...) }

func (r *run) print(format string, args ...any) { fmt.Fprintf(r.stdio.Out, format+"\n", args...) }
