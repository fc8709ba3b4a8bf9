package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
	"github.com/bottlesuite/bottle/launcher/internal/preflight"
	"github.com/bottlesuite/bottle/launcher/internal/preset"
)

func (r *run) startCommand() *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "start an agent in its bottle and run a command there (default: a shell)",
		ArgsUsage: "AGENT [-- CMD...]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.BoolFlag{Name: "dry-run", Usage: "show what the bottle could reach, and start nothing"},
			&cli.BoolFlag{Name: "headless", Usage: "keep the bottle up without attaching, until a signal"},
		},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, true, "AGENT")
			if err != nil {
				return err
			}
			if c.Bool("headless") && r.tail != nil {
				return mendf("--headless runs no command; start it without, or use `launcher exec` afterwards")
			}
			return r.start(c.Context, w[0], startFlags{c.Bool("yes"), c.Bool("dry-run"), c.Bool("headless")})
		},
	}
}

type startFlags struct{ yes, dryRun, headless bool }

// start is the whole life of one bottle.
func (r *run) start(ctx context.Context, agent string, f startFlags) error {
	l, spec, err := r.spec(ctx, agent)
	if err != nil {
		return err
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
	sheet := preflight.Sheet{Launch: l, Env: spec.Env, Trust: spec.Trust}
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
	if !f.yes && !r.interactive() {
		return mendf("nobody can be asked here, because the input is not a terminal; look at it with --dry-run, then start with --yes")
	}
	ready, err := r.prepare(ctx, host, spec)
	if err != nil {
		return err
	}
	sheet.Fingerprints, sheet.Images, sheet.Runtime = spec.Keys.Fingerprints(), ready.Images, spec.Runtime
	if err := sheet.Write(r.stdio.Err); err != nil {
		return err
	}
	if !f.yes {
		asked := time.Now()
		if err := r.confirm(ctx, "Start this bottle?"); err != nil {
			return err
		}
		began = began.Add(time.Since(asked))
	}
	b, err := host.Start(ctx, spec, ready, values)
	if err != nil {
		return fmt.Errorf("%s was not started: %w", spec.Identity, err)
	}
	r.note("%s is up after %.1f s", spec.Identity, time.Since(began).Seconds())
	return r.takeDown(ctx, b, host.Home.State(spec.Identity), r.attend(ctx, b, f.headless))
}

// takeDown stops a bottle whose attendance has ended with err, and says what is
// left of it.
func (r *run) takeDown(ctx context.Context, b *launch.Bottle, state bottle.State, err error) error {
	suspended := errors.Is(err, errSuspended)
	if suspended {
		err = b.Suspend(ctx)
	}
	if serr := b.Stop(ctx); serr != nil {
		r.note("launcher: %s could not be taken down as a whole, run `launcher cleanup`: %v", state.Identity, serr)
		err = errors.Join(err, serr)
	} else {
		r.note("%s is stopped; its audit log is in %s", state.Identity, state.Path("audit"))
	}
	if suspended && err == nil {
		r.note("It goes on, with what was approved, by: launcher resume %s", state.Identity)
	}
	return err
}

// spec reads what a bottle is made of, before anything is made.
func (r *run) spec(ctx context.Context, agent string) (*manifest.Launch, *bundle.Spec, error) {
	l, err := r.load(agent)
	if err != nil {
		return nil, nil, err
	}
	if err := takePresets(ctx, l.Bottle, preset.Here(r.env)); err != nil {
		return nil, nil, err
	}
	env, err := l.Bottle.ResolveEnv(r.lookup)
	if err != nil {
		return nil, nil, err
	}
	trust, err := pki.CollectTrust(r.getenv)
	if err != nil {
		return nil, nil, mend(err)
	}
	if file := l.Bottle.Pipelock.ExtraCA; file != "" {
		if err := trust.AddFile("extra_ca", file); err != nil {
			return nil, nil, l.Bottle.At("pipelock.extra_ca", err)
		}
	}
	home, err := r.home()
	if err != nil {
		return nil, nil, err
	}
	s := &bundle.Spec{Identity: bottle.NewIdentity(agent), Agent: l.Agent, Bottle: l.Bottle, Env: env, Owner: home.Dir, Trust: trust}
	s.UID, s.GID = bundle.SidecarUser(os.Getuid(), os.Getgid())
	return l, s, r.secrets(s)
}

// secrets takes up the values that must not leave, and plants the canaries.
func (r *run) secrets(s *bundle.Spec) error {
	known, err := s.Bottle.KnownValues(r.lookup)
	if err != nil {
		return err
	}
	s.Known, s.Canaries = bundle.Secrets{}, map[string]string{}
	for name, v := range known {
		s.Known[name] = secret.New(v)
	}
	for _, name := range s.Bottle.Pipelock.Canaries {
		s.Canaries[name] = bundle.NewCanary()
		s.Env[name] = s.Canaries[name]
	}
	return nil
}

// minToken is the length of the shortest token that can be told from ordinary
// text, and so be scrubbed from responses.
const minToken = 8

// tokens reads the tokens that routes and git remotes name from the environment,
// and the remotes' keys from their files.
func (r *run) tokens(b *manifest.Bottle) (map[string]secret.String, error) {
	values := map[string]secret.String{}
	var missing error
	for _, ref := range b.TokenRefs() {
		v := r.env[ref]
		err := secret.Check(v)
		switch {
		case v == "":
			missing = b.MissingToken(ref, "is not set; export it before the start")
		case err != nil:
			missing = b.MissingToken(ref, "cannot be sent ("+err.Error()+"); correct it")
		case len(v) < minToken:
			missing = b.MissingToken(ref, fmt.Sprintf("is shorter than %d bytes, which cannot be scrubbed from responses; use a longer one", minToken))
		default:
			values[ref] = secret.New(v)
		}
	}
	git, err := b.ReadGitSecrets(r.lookup)
	if missing == nil {
		missing = err
	}
	maps.Copy(values, git)
	return values, missing
}

// prepare asks the engine what it can do and makes the keys.
func (r *run) prepare(ctx context.Context, host *launch.Host, spec *bundle.Spec) (*launch.Ready, error) {
	ready, err := host.CheckEngine(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := ready.Info.Unfit(); err != nil {
		return nil, err
	}
	if ready.Info.Runsc() {
		spec.Runtime = "runsc"
	}
	if n := float64(ready.Info.NCPU); n > 0 && bundle.Resources(spec.Bottle).CPUs > n {
		spec.Bottle.Resources.CPUs = n // the engine refuses more than it has
	}
	spec.Keys, err = bundle.NewKeys(spec.Identity, spec.Bottle, spec.Grants...)
	return ready, err
}

// attend runs the agent's command, or waits for a signal, and looks after the
// containers meanwhile.
func (r *run) attend(ctx context.Context, b *launch.Bottle, headless bool) error {
	lost, unwatch := b.Watch(ctx)
	defer unwatch()
	if b.Spec.Bottle.Supervise {
		var end context.CancelCauseFunc
		ctx, end = context.WithCancelCause(ctx)
		defer end(nil)
		defer r.keepTime(ctx, b, end)()
	}
	if headless {
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
	argv := r.tail
	if len(argv) == 0 {
		argv = []string{"bash", "-l"}
	}
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
