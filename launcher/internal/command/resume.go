package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/apply"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
)

func (r *run) resumeCommand() *cli.Command {
	return &cli.Command{
		Name: "resume", Usage: "go on with a bottle that was stopped, or whose launcher was killed: same identity, image and home directory",
		ArgsUsage: "IDENTITY [-- CMD...]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.BoolFlag{Name: "headless", Usage: "keep the bottle up without attaching, until a signal"},
			&cli.BoolFlag{Name: "verify", Usage: "try to get out of the bottle first, and take it down if that works"},
			&cli.StringFlag{Name: "network", Aliases: []string{"build-network"}, Value: "none", Usage: "should the agent's image have to be built: the engine's network that its build may use, such as bridge"},
			&cli.BoolFlag{Name: "discard", Usage: "keep nothing of the agent's home directory at the end"},
		},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, true, "IDENTITY")
			if err != nil {
				return err
			}
			r.buildNetwork = c.String("network")
			return r.resume(c.Context, w[0], startFlags{yes: c.Bool("yes"), headless: c.Bool("headless"), discard: c.Bool("discard"), verify: c.Bool("verify")})
		},
	}
}

// errSuspended ends a session whose bottle is to be rebuilt and resumed.
var errSuspended = errors.New("the bottle is suspended")

func (r *run) resume(ctx context.Context, identity string, f startFlags) error {
	s, err := r.state(identity)
	if err != nil {
		return err
	}
	if s.Held() {
		return mendf("%s is running; stop it first, or use `launcher exec`", s.Identity)
	}
	m, err := s.Metadata()
	if err != nil {
		return err
	}
	host, err := r.host()
	if err != nil {
		return err
	}
	l, spec, err := r.spec(ctx, m.Agent)
	if err != nil {
		return err
	}
	if spec.Grants, err = lasting(s); err != nil {
		return err
	}
	spec.Identity, spec.Name, spec.Resume, spec.Machine = s.Identity, m.Name, true, m.Backend == launch.Smolmachines
	if spec.Workspace, spec.Mounted = m.Workspace, m.Mounted; m.Mounted {
		if spec.Workspace, err = r.workspaceDir(m.Workspace); err != nil {
			return err
		}
	}
	if spec.Image, err = host.EnsureImage(ctx, s, r.buildNetwork); err != nil {
		return err
	}
	if err := host.Salvage(ctx, s); err != nil {
		return fmt.Errorf("%s cannot be resumed: %w", s.Identity, err)
	}
	return r.launch(ctx, l, spec, f)
}

// lasting are the approvals that outlive a stop.
func lasting(s bottle.State) ([]wire.Grant, error) {
	grants, err := apply.Grants(s)
	return slices.DeleteFunc(grants, func(g wire.Grant) bool { return g.Scope == wire.ScopeOnce }), err
}
