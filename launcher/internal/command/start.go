package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/preflight"
	"github.com/bottlesuite/bottle/launcher/internal/verify"
	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

func (r *run) startCommand() *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "start an agent in its bottle and run a command there (default: its provider's program)",
		ArgsUsage: "AGENT [-- CMD...]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.BoolFlag{Name: "dry-run", Usage: "show what the bottle could reach, and start nothing"},
			&cli.StringFlag{Name: "name", Usage: "a name for this bottle, which other commands take for its identity"},
			&cli.BoolFlag{Name: "headless", Usage: "keep the bottle up without attaching, until a signal"},
			&cli.StringFlag{Name: "prompt", Usage: "give the agent's program one `TEXT` to work on, and end with it"},
			buildNetworkFlag(),
			&cli.BoolFlag{Name: "verify", Usage: "try to get out of the bottle first, and take it down if that works"},
			&cli.StringFlag{Name: "cwd", Usage: "copy this directory into the agent's workspace (`launcher copy-out` brings it back)"},
			&cli.BoolFlag{Name: "mount", Usage: "with --cwd: mount the directory instead; what the agent writes is on this host at once"},
			&cli.BoolFlag{Name: "discard", Usage: "keep nothing of the agent's home directory at the end"},
			backendFlag(),
		},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, true, "AGENT")
			if err != nil {
				return err
			}
			f := startFlags{
				yes: c.Bool("yes"), dryRun: c.Bool("dry-run"), headless: c.Bool("headless"), discard: c.Bool("discard"),
				cwd: c.String("cwd"), mount: c.Bool("mount"), name: c.String("name"), prompt: c.String("prompt"), verify: c.Bool("verify"),
			}
			if f.machine, err = r.backend(c); err != nil {
				return err
			}
			switch {
			case f.mount && f.cwd == "":
				return mendf("--mount needs --cwd, the directory to mount")
			case f.headless && (r.tail != nil || f.prompt != ""):
				return mendf("--headless runs no command; start it without, or use `launcher exec` afterwards")
			case r.tail != nil && f.prompt != "":
				return mendf("give either --prompt or a command after --")
			}
			r.buildNetwork = c.String("build-network")
			return r.start(c.Context, w[0], f)
		},
	}
}

type startFlags struct {
	yes, dryRun, headless, discard, mount, verify, machine bool
	cwd, name, prompt                                      string
}

// start is the whole life of one bottle.
func (r *run) start(ctx context.Context, agent string, f startFlags) error {
	l, spec, err := r.spec(ctx, agent)
	if err != nil {
		return err
	}
	if err := r.freeName(f.name); err != nil {
		return err
	}
	spec.Name, spec.Machine = f.name, f.machine
	if f.cwd != "" {
		spec.Mounted = f.mount
		if spec.Workspace, err = r.workspaceDir(f.cwd); err != nil {
			return err
		}
	}
	return r.launch(ctx, l, spec, f)
}

// launch brings a bottle up and stays with it to its end.
func (r *run) launch(ctx context.Context, l *manifest.Launch, spec *bundle.Spec, f startFlags) error {
	began := time.Now()
	host, err := r.host()
	if err != nil {
		return err
	}
	sheet := preflight.Sheet{Launch: l, Env: spec.Env, Trust: spec.Trust, Workspace: spec.Workspace, Mounted: spec.Mounted}
	values, err := r.tokens(l.Bottle)
	if f.dryRun {
		for _, ref := range l.Bottle.TokenRefs() {
			if _, ok := values[ref]; !ok {
				sheet.Missing = append(sheet.Missing, ref)
			}
		}
		return errors.Join(sheet.Write(r.stdio.Out), err)
	}
	if err != nil {
		return err
	}
	for ref, v := range values {
		spec.Known[ref] = v
	}
	if err := r.askable(l.Bottle); err != nil {
		return err
	}
	if !f.yes && !r.interactive() {
		return mendf("nobody can be asked here, because the input is not a terminal; look at it with --dry-run, then start with --yes")
	}
	ready, err := r.prepare(ctx, host, spec, f.verify)
	if err != nil {
		return err
	}
	sheet.Fingerprints, sheet.Images, sheet.Runtime = spec.Keys.Fingerprints(), ready.Images, ready.Runs(spec)
	if err := sheet.Write(r.stdio.Err); err != nil {
		return err
	}
	asked := time.Now()
	if !f.yes {
		if err := r.confirm(ctx, "Start this bottle?"); err != nil {
			return err
		}
	}
	if err := r.ask(ctx, spec); err != nil {
		return err
	}
	began = began.Add(time.Since(asked))
	b, err := host.Start(ctx, spec, ready, values)
	if err != nil {
		return fmt.Errorf("%s was not started: %w", spec.Identity, err)
	}
	if spec.Workspace != "" && !spec.Mounted && !spec.Resume {
		if err := r.copyIn(ctx, b, values); err != nil {
			return errors.Join(err, b.Stop(ctx))
		}
	}
	r.note("%s is up after %.1f s", spec.Identity, time.Since(began).Seconds())
	return r.stay(ctx, host, b, f)
}

// judged refuses to start a machine that could not be verified.
func judged(getenv func(string) string) error {
	d, err := vm.NewDriver(getenv(vm.DriverVariable), getenv)
	if err != nil {
		return err
	}
	if err := verify.Judges(d.Name()); err != nil {
		return mendf("%w", err)
	}
	return nil
}

// stay attends a bottle that is up, once it is proven where that was asked for, and
// takes it down. Of one that was not handed over and is new, nothing is kept.
func (r *run) stay(ctx context.Context, host *launch.Host, b *launch.Bottle, f startFlags) error {
	if f.verify {
		if err := r.proven(ctx, host, b.State()); err != nil {
			return r.takeDown(ctx, b, b.State(), f.discard || !b.Spec.Resume, err)
		}
	}
	return r.takeDown(ctx, b, b.State(), f.discard, r.attend(ctx, b, f))
}

// takeDown stops a bottle whose attendance has ended with err, and says what is
// left of it.
func (r *run) takeDown(ctx context.Context, b *launch.Bottle, state bottle.State, discard bool, err error) error {
	suspended, kept := errors.Is(err, errSuspended), false
	if suspended {
		err = nil
	}
	if suspended || !discard {
		kerr := b.Suspend(ctx)
		if kept = kerr == nil; !kept {
			r.note("launcher: the agent's home directory was not kept: %v", kerr)
			if suspended {
				err = kerr
			}
		}
	}
	if serr := b.Stop(ctx); serr != nil {
		r.note("launcher: %s could not be taken down as a whole, run `launcher cleanup`: %v", state.Identity, serr)
		err = errors.Join(err, serr)
	} else {
		r.note("%s is stopped; its audit log is in %s", state.Identity, state.Path("audit"))
	}
	if kept {
		r.note("It goes on, with the agent's home directory as it was, by: launcher resume %s", state.Identity)
	}
	return err
}

// prepare asks the engine what it can do and makes the keys.
func (r *run) prepare(ctx context.Context, host *launch.Host, spec *bundle.Spec, toVerify bool) (*launch.Ready, error) {
	if toVerify && spec.Machine {
		if err := judged(host.Getenv); err != nil {
			return nil, err
		}
	}
	if err := r.agentImage(ctx, host, spec); err != nil {
		return nil, err
	}
	ready, err := host.CheckEngine(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := ready.Info.Unfit(); err != nil {
		return nil, err
	}
	if ready.Info.Runsc() && !spec.Machine {
		spec.Runtime = compose.GVisor
	}
	if n := float64(ready.Info.NCPU); n > 0 && bundle.Resources(spec.Bottle).CPUs > n {
		spec.Bottle.Resources.CPUs = n // the engine refuses more than it has
	}
	spec.Keys, err = bundle.NewKeys(spec.Identity, spec.Bottle, spec.Grants...)
	return ready, err
}

// attend runs the agent's command, or waits for a signal, and looks after the
// containers meanwhile.
func (r *run) attend(ctx context.Context, b *launch.Bottle, f startFlags) error {
	lost, unwatch := b.Watch(ctx)
	defer unwatch()
	if b.Spec.Bottle.Supervise {
		var end context.CancelCauseFunc
		ctx, end = context.WithCancelCause(ctx)
		defer end(nil)
		defer r.keepTime(ctx, b, end)()
	}
	if f.headless {
		r.print("%s", b.Spec.Identity)
		select {
		case err, ok := <-lost:
			if ok {
				r.note("launcher: %s", tell(err))
				return fmt.Errorf("the bottle was taken down, because %w", err)
			}
		case <-ctx.Done():
		}
		return context.Cause(ctx)
	}
	argv := r.command(ctx, b, f.prompt)
	s, restore := r.streams()
	defer restore()
	told := make(chan error, 1)
	go func() {
		defer close(told)
		if err, ok := <-lost; ok {
			said := "\nlauncher: " + tell(err) + "\n"
			if s.Terminal { // which the client has put into its raw mode
				said = strings.ReplaceAll(said, "\n", "\r\n")
			}
			fmt.Fprint(r.stdio.Err, said)
			told <- err
		}
	}()
	err := b.Run(ctx, argv, s)
	unwatch()
	if lost := <-told; lost != nil && ctx.Err() == nil {
		return lost // whatever the command said, it did not have its bottle
	}
	return err
}

// tell is all that is known about the end of a bottle.
func tell(err error) string {
	var l *launch.Lost
	if errors.As(err, &l) {
		return l.Tell()
	}
	return err.Error()
}

// streams are the launcher's own, for a command in a bottle. Restore puts the
// terminal back into the state that it was in, should the client be killed.
func (r *run) streams() (s engine.Streams, restore func()) {
	s = engine.Streams{In: r.stdio.In, Out: r.stdio.Out, Err: r.stdio.Err}
	in, out := fileOf(r.stdio.In), fileOf(r.stdio.Out)
	if in == nil || out == nil || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return s, func() {}
	}
	s.Terminal = true
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return s, func() {}
	}
	return s, func() { _ = term.Restore(int(in.Fd()), before) }
}

func fileOf(v any) *os.File {
	f, _ := v.(*os.File)
	return f
}

// interactive reports whether there is somebody to ask.
func (r *run) interactive() bool {
	f := fileOf(r.stdio.In)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

var errDeclined = errors.New("not done, as you wish")

// confirm asks a question that is answered by y or N.
func (r *run) confirm(ctx context.Context, question string) error {
	fmt.Fprintf(r.stdio.Err, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { answer <- readLine(r.stdio.In) }()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case a := <-answer:
		if slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(a))) {
			return nil
		}
		return errDeclined
	}
}

// readLine reads one line and not a byte more: the rest is for the command in
// the bottle.
func readLine(in io.Reader) string {
	var line []byte
	var b [1]byte
	for len(line) < 1024 {
		if n, err := in.Read(b[:]); n == 0 || err != nil || b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return string(line)
}
