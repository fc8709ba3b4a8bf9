package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
	"github.com/bottlesuite/bottle/launcher/internal/verify"
)

func (r *run) verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "try to get out of a running bottle, and judge from outside what became of it",
		ArgsUsage: "IDENTITY | DIRECTORY of a rendered bundle that runs",
		Flags: []cli.Flag{
			jsonFlag,
			&cli.BoolFlag{Name: "all", Usage: "list what was held, too"},
			&cli.StringSliceFlag{Name: "only", Usage: "make this attempt alone (its id; may be repeated)"},
		},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, false, "IDENTITY")
			if err != nil {
				return err
			}
			host, err := r.host()
			if err != nil {
				return err
			}
			subject, err := r.subject(host, w[0])
			if err != nil {
				return err
			}
			subject.Only = c.StringSlice("only")
			report, err := verify.Run(c.Context, subject)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = r.json(report.Results)
			} else {
				err = r.verdicts(r.stdio.Out, report, c.Bool("all"))
			}
			return errors.Join(err, report.Err())
		},
	}
}

// proven verifies a bottle before it is handed over.
func (r *run) proven(ctx context.Context, host *launch.Host, state bottle.State) error {
	m, err := state.Metadata()
	if err != nil {
		return err
	}
	subject, err := r.subjectOf(host, state, m)
	if err != nil {
		return err
	}
	report, err := verify.Run(ctx, subject)
	if err != nil {
		return fmt.Errorf("%s could not be verified, so it is taken down: %w", state.Identity, err)
	}
	if err := report.Err(); err != nil {
		return errors.Join(r.verdicts(r.stdio.Err, report, false), fmt.Errorf("%s is not handed over: %w", state.Identity, err))
	}
	r.note("verify: %s holds: %s", state.Identity, report.Sentence())
	return nil
}

// subject is the bottle that an argument names: by its identity, or by the directory
// of a bundle that plain Compose runs.
func (r *run) subject(host *launch.Host, arg string) (verify.Subject, error) {
	if strings.Contains(arg, "/") {
		return r.bundleSubject(host, arg)
	}
	state, err := r.running(arg)
	if err != nil {
		return verify.Subject{}, err
	}
	m, err := state.Metadata()
	if err != nil {
		return verify.Subject{}, err
	}
	return r.subjectOf(host, state, m)
}

// subjectOf is a launch of this home.
func (r *run) subjectOf(host *launch.Host, state bottle.State, m bottle.Metadata) (verify.Subject, error) {
	s := verify.Subject{Identity: string(state.Identity), Dir: state.Dir, Runtime: m.Runtime, Root: m.CA["egress"], Engine: host.Engine, Progress: r.stdio.Err}
	if s.Root == "" {
		s.Root = m.CA["pipelock"]
	}
	roots := []string{state.Dir}
	if m.Tokens != "" {
		roots = append(roots, m.Tokens)
	}
	if m.Mounted {
		s.Workspace = m.Workspace
		roots = append(roots, m.Workspace)
	}
	if m.Backend == launch.Smolmachines {
		s.Exec = func(ctx context.Context, user string, argv []string, streams engine.Streams) error {
			return host.Exec(ctx, state.Identity, user, argv, streams)
		}
		s.OnCard = func(ctx context.Context, argv []string, streams engine.Streams) error {
			return host.ExecOnCard(ctx, state.Identity, argv, streams)
		}
	}
	s.Inspect = func(ctx context.Context) error { return host.Inspect(ctx, m, roots...) }
	var err error
	s.Binary, err = ownBinary()
	return s, err
}

var projectLine = regexp.MustCompile(`(?m)^name: bottle-([a-z0-9-]+)$`)

// bundleSubject is a rendered bundle; the files in it say what stands there.
func (r *run) bundleSubject(host *launch.Host, dir string) (verify.Subject, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return verify.Subject{}, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		return verify.Subject{}, mendf("%s is no rendered bundle: %w", dir, err)
	}
	name := projectLine.FindSubmatch(data)
	if name == nil {
		return verify.Subject{}, mendf("%s names no bottle", filepath.Join(dir, "compose.yaml"))
	}
	s := verify.Subject{Identity: string(name[1]), Dir: dir, Engine: host.Engine, Progress: r.stdio.Err}
	has := func(config string) bool {
		_, err := os.Stat(filepath.Join(dir, "config", config))
		return err == nil
	}
	s.Inspect = func(ctx context.Context) error {
		roots, err := secretDirs(ctx, host.Engine, s.Identity)
		if err != nil {
			return err
		}
		return host.InspectBundle(ctx, s.Identity, has("egressd.yaml"), has("gitgated.yaml"), has("superviserd.yaml"), append(roots, dir)...)
	}
	s.Binary, err = ownBinary()
	return s, err
}

// secretDirs are where the token files of a bundle are: its operator's choice.
func secretDirs(ctx context.Context, e *engine.Engine, identity string) (dirs []string, err error) {
	cs, err := e.Containers(ctx, engine.LabelIdentity+"="+identity)
	for _, c := range cs {
		for _, m := range c.Mounts {
			if strings.HasPrefix(m.Destination, "/run/secrets/") && c.Component() != "agent" {
				dirs = append(dirs, filepath.Dir(m.Source))
			}
		}
	}
	return dirs, err
}

// verdicts prints what did not hold, or everything, as a table, and a sentence.
func (r *run) verdicts(out io.Writer, report *verify.Report, all bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	group := ""
	for _, x := range report.Results {
		if x.Result == verify.Held && !all {
			continue
		}
		if group != x.Group {
			group = x.Group
			fmt.Fprintf(w, "\n%s\n", group)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", x.Result, x.ID, x.User, x.Attempt, x.Seen)
	}
	if all && len(report.Unmade) > 0 {
		fmt.Fprintf(w, "\nNot made, because the bottle has nothing of the kind\n")
		for _, x := range report.Unmade {
			fmt.Fprintf(w, "-\t%s\t\t%s\t%s\n", x.ID, x.Attempt, x.Why)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, report.Sentence())
	return nil
}
