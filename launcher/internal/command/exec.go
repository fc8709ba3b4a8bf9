package command

import (
	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
)

// shell is what runs in a bottle when nothing else is asked for.
var shell = []string{"bash", "-l"}

// entered is a bottle that is up, and the host that leads into it.
func (r *run) entered(arg string) (bottle.State, *launch.Host, error) {
	state, err := r.running(arg)
	if err != nil {
		return state, nil, err
	}
	host, err := r.host()
	return state, host, err
}

func (r *run) attachCommand() *cli.Command {
	return &cli.Command{
		Name: "attach", Usage: "open a further terminal in a running bottle; leaving it leaves the bottle up",
		ArgsUsage: "IDENTITY",
		Action: func(c *cli.Context) error {
			w, err := r.words(c, false, "IDENTITY")
			if err != nil {
				return err
			}
			state, host, err := r.entered(w[0])
			if err != nil {
				return err
			}
			s, restore := r.streams()
			defer restore()
			if !s.Terminal {
				return mendf("attach needs a terminal; for a script there is `launcher exec %s -- CMD`, or exec with the script as its input", state.Identity)
			}
			return host.Exec(c.Context, state.Identity, "agent", shell, s)
		},
	}
}

func (r *run) execCommand() *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a command in a running bottle (default: a shell; a script may come through stdin)",
		ArgsUsage: "IDENTITY [-- CMD...]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "user", Value: "agent", Usage: "agent, or root (without capabilities)"},
		},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, true, "IDENTITY")
			if err != nil {
				return err
			}
			user := c.String("user")
			if user != "agent" && user != "root" {
				return mendf("--user is agent or root, not %q", user)
			}
			state, host, err := r.entered(w[0])
			if err != nil {
				return err
			}
			s, restore := r.streams()
			defer restore()
			argv := r.tail
			if len(argv) == 0 {
				argv = shell
				if !s.Terminal {
					argv = []string{"bash", "-s"} // the script comes through stdin
				}
			}
			return host.Exec(c.Context, state.Identity, user, argv, s)
		},
	}
}

// running is the state of a bottle that is up.
func (r *run) running(arg string) (bottle.State, error) {
	s, err := r.state(arg)
	if err != nil {
		return s, err
	}
	m, err := s.Current()
	if err != nil {
		return s, err
	}
	if m.State != bottle.StateRunning && m.State != bottle.StateDegraded {
		return s, mendf("%s is %s, not running", s.Identity, m.State)
	}
	return s, nil
}
