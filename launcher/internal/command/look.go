package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

var jsonFlag = &cli.BoolFlag{Name: "json", Usage: "print JSON"}

func (r *run) listCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the bottles of this home", Flags: []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			home, err := r.home()
			if err != nil {
				return err
			}
			ids, err := home.Identities()
			if err != nil {
				return err
			}
			all := []bottle.Metadata{}
			for _, id := range ids {
				m, err := home.State(id).Current()
				if err != nil {
					r.note("launcher: %v", err)
					m.State = "damaged"
				}
				all = append(all, m)
			}
			slices.SortStableFunc(all, func(a, b bottle.Metadata) int { return a.StartedAt.Compare(b.StartedAt) })
			if _, err := r.standing(c.Context, all); err != nil {
				return err
			}
			if c.Bool("json") {
				return r.json(listed(all))
			}
			return r.table(all)
		},
	}
}

// listedBottle is one object of `list --json`, a contract with scripts.
type listedBottle struct {
	Identity  bottle.Identity `json:"identity"`
	Agent     string          `json:"agent"`
	Bottle    string          `json:"bottle"`
	Backend   string          `json:"backend"`
	State     string          `json:"state"`
	StartedAt time.Time       `json:"started_at"`
}

func listed(all []bottle.Metadata) []listedBottle {
	out := []listedBottle{} // never null
	for _, m := range all {
		out = append(out, listedBottle{m.Identity, m.Agent, m.Bottle, m.Backend, m.State, m.StartedAt})
	}
	return out
}

func (r *run) table(all []bottle.Metadata) error {
	if len(all) == 0 {
		r.note("There are no bottles.")
		return nil
	}
	w := tabwriter.NewWriter(r.stdio.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IDENTITY\tAGENT\tBOTTLE\tBACKEND\tSTATE\tSTARTED")
	for _, m := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Identity, m.Agent, m.Bottle, m.Backend, m.State, m.StartedAt.Format(time.RFC3339))
	}
	return w.Flush()
}

func (r *run) infoCommand() *cli.Command {
	return &cli.Command{
		Name: "info", Usage: "show one bottle", ArgsUsage: "IDENTITY", Flags: []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			s, m, err := r.named(c)
			if err != nil {
				return err
			}
			one := []bottle.Metadata{m}
			containers, err := r.standing(c.Context, one)
			if err != nil {
				return err
			}
			m = one[0]
			if c.Bool("json") {
				return r.json(struct {
					bottle.Metadata
					Containers map[string]string `json:"containers,omitempty"`
					Dir        string            `json:"state_dir"`
				}{m, containers[m.Identity], s.Dir})
			}
			return r.info(s, m, containers[m.Identity])
		},
	}
}

// named returns the bottle that the command's only word names.
func (r *run) named(c *cli.Context) (bottle.State, bottle.Metadata, error) {
	w, err := r.words(c, false, "IDENTITY")
	if err != nil {
		return bottle.State{}, bottle.Metadata{}, err
	}
	s, err := r.state(w[0])
	if err != nil {
		return bottle.State{}, bottle.Metadata{}, err
	}
	m, err := s.Current()
	return s, m, err
}

// standing corrects states by what the containers do. Without an engine the
// recorded states stay, and a note says so.
func (r *run) standing(ctx context.Context, all []bottle.Metadata) (map[bottle.Identity]map[string]string, error) {
	host, err := r.host()
	if err != nil {
		return nil, err
	}
	containers, err := host.Standing(ctx, all)
	if err != nil {
		r.note("launcher: %v", err)
	}
	return containers, nil
}

func (r *run) info(s bottle.State, m bottle.Metadata, containers map[string]string) error {
	w := tabwriter.NewWriter(r.stdio.Out, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("identity", string(m.Identity))
	line("agent", m.Agent)
	line("bottle", m.Bottle)
	line("backend", m.Backend)
	line("state", m.State)
	line("failure", m.Failure)
	line("started", m.StartedAt.Format(time.RFC3339))
	if m.StoppedAt != nil {
		line("stopped", m.StoppedAt.Format(time.RFC3339))
	}
	for _, name := range slices.Sorted(maps.Keys(containers)) {
		line(name, containers[name])
	}
	line("subnet", m.Subnet)
	line("runtime", m.Runtime)
	for _, name := range []string{"egress", "pipelock"} {
		line(name+" root", m.CA[name])
	}
	for _, name := range []string{"agent", "egress", "git-gate", "pipelock", "supervise"} {
		line(name+" image", m.Images[name])
	}
	line("directory", s.Dir)
	return w.Flush()
}

func (r *run) logsCommand() *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "show what the containers of a bottle printed", ArgsUsage: "IDENTITY",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until the bottle stops"}},
		Action: func(c *cli.Context) error {
			s, m, err := r.named(c)
			if err != nil {
				return err
			}
			if m.State == bottle.StateStopped {
				return r.savedLogs(s)
			}
			host, err := r.host()
			if err != nil {
				return err
			}
			return host.Engine.Logs(c.Context, compose.Project(string(s.Identity)), c.Bool("follow"), 0,
				engine.Streams{Out: r.stdio.Out, Err: r.stdio.Err})
		},
	}
}

// savedLogs prints the logs that were kept when the bottle stopped.
func (r *run) savedLogs(s bottle.State) error {
	files, _ := filepath.Glob(s.Path("logs", "*.log"))
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("cannot show a log: %w", err)
		}
		r.print("==> %s", filepath.Base(file))
		out := plain.NewWriter(r.stdio.Out)
		_, err = io.Copy(out, f)
		if err := errors.Join(err, out.Close(), f.Close()); err != nil {
			return fmt.Errorf("cannot show a log: %w", err)
		}
	}
	return nil
}

func (r *run) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version",
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			r.print("launcher %s %s", daemon.Version, runtime.Version())
			return nil
		},
	}
}

func (r *run) json(v any) error {
	enc := json.NewEncoder(r.stdio.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
