package command

import (
	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
)

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
			state, err := r.running(w[0])
			if err != nil {
				return err
			}
			host, err := r.host()
			if err != nil {
				return err
			}
			s, restore := r.streams()
			defer restore()
			argv := r.tail
			if len(argv) == 0 {
				argv = []string{"bash", "-l"}
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
