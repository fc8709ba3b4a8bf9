package command

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/daemon"
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
	Name      string          `json:"name,omitempty"`
	Workspace string          `json:"workspace,omitempty"`
}

func listed(all []bottle.Metadata) []listedBottle {
	out := []listedBottle{} // never null
	for _, m := range all {
		out = append(out, listedBottle{m.Identity, m.Agent, m.Bottle, m.Backend, m.State, m.StartedAt, m.Name, m.Workspace})
	}
	return out
}

func (r *run) table(all []bottle.Metadata) error {
	if len(all) == 0 {
		r.note("There are no bottles.")
		return nil
	}
	w := tabwriter.NewWriter(r.stdio.Out, 0, 0, 2, ' ', 0)
	named := slices.ContainsFunc(all, func(m bottle.Metadata) bool { return m.Name != "" })
	row := func(id bottle.Identity, cells ...string) {
		cells[0] = r.coloured(id, cells[0])
		if !named {
			cells = cells[:len(cells)-1]
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	row("", "IDENTITY", "AGENT", "BOTTLE", "BACKEND", "STATE", "STARTED", "NAME")
	for _, m := range all {
		row(m.Identity, string(m.Identity), m.Agent, m.Bottle, m.Backend, m.State, m.StartedAt.Format(time.RFC3339), plain.Line(m.Name))
	}
	return w.Flush()
}

// colours reports whether the output is a terminal that may be coloured.
func (r *run) colours() bool {
	f := fileOf(r.stdio.Out)
	return f != nil && term.IsTerminal(int(f.Fd())) && r.getenv("NO_COLOR") == "" && r.getenv("TERM") != "dumb"
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
	line("name", plain.Line(m.Name))
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
