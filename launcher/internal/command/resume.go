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
)

func (r *run) resumeCommand() *cli.Command {
	return &cli.Command{
		Name: "resume", Usage: "go on with a bottle that was suspended, or whose launcher was killed: same identity, image and home directory",
		ArgsUsage: "IDENTITY [-- CMD...]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.BoolFlag{Name: "headless", Usage: "keep the bottle up without attaching, until a signal"},
		},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, true, "IDENTITY")
			if err != nil {
				return err
			}
			return r.resume(c.Context, w[0], startFlags{yes: c.Bool("yes"), headless: c.Bool("headless")})
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
	spec.Identity, spec.Resume = s.Identity, true
	if spec.Image, err = host.EnsureImage(ctx, s, "none"); err != nil {
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
