package command

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"
)

func (r *run) cleanupCommand() *cli.Command {
	return &cli.Command{
		Name: "cleanup", Usage: "remove what stopped or killed launches left behind",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}},
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			return r.cleanup(c.Context, c.Bool("yes"))
		},
	}
}

func (r *run) cleanup(ctx context.Context, yes bool) error {
	host, err := r.host()
	if err != nil {
		return err
	}
	if _, err := host.Engine.Info(ctx); err != nil {
		return err
	}
	left, held, err := host.Leftovers(ctx)
	if err != nil {
		return err
	}
	for _, id := range held {
		r.note("%s is running and stays.", id)
	}
	if len(left) == 0 {
		r.print("There is nothing to clean up.")
		return nil
	}
	for _, l := range left {
		r.print("%s", l)
	}
	if !yes {
		if !r.interactive() {
			return mendf("nobody can be asked here, because the input is not a terminal; use --yes")
		}
		if err := r.confirm(ctx, "Remove all of this, audit logs included?"); err != nil {
			return err
		}
	}
	var errs []error
	for _, l := range left {
		if err := host.Clean(ctx, l); err != nil {
			errs = append(errs, err)
			continue
		}
		r.print("removed %s", l.Identity)
	}
	return errors.Join(errs...)
}
