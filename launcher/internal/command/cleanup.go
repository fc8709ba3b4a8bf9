package command

import (
	"context"
	"errors"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
)

func (r *run) cleanupCommand() *cli.Command {
	return &cli.Command{
		Name: "cleanup", Usage: "remove what stopped or killed launches left behind: all of it, or that of the bottles named",
		ArgsUsage: "[IDENTITY...]",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}},
		Action: func(c *cli.Context) error {
			if r.tail != nil {
				return mendf("cleanup does not take a command after --")
			}
			return r.cleanup(c.Context, c.Args().Slice(), c.Bool("yes"))
		},
	}
}

func (r *run) cleanup(ctx context.Context, only []string, yes bool) error {
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
	if left, held, err = r.chosen(only, left, held); err != nil {
		return err
	}
	for _, id := range held {
		r.note("%s is running and stays.", id)
	}
	if len(left) == 0 {
		r.print("There is nothing to clean up.")
	} else if err := r.clean(ctx, host, left, yes); err != nil {
		return err
	}
	if len(only) > 0 {
		return nil
	}
	freed, err := host.TrimDisks()
	if freed != "" {
		r.print("%s", freed)
	}
	return err
}

// clean removes leftovers, if the operator agrees.
func (r *run) clean(ctx context.Context, host *launch.Host, left []launch.Leftover, yes bool) error {
	for _, l := range left {
		r.print("%s", l)
	}
	if !yes {
		if !r.interactive() {
			return mendf("nobody can be asked here, because the input is not a terminal; use --yes")
		}
		if err := r.confirm(ctx, "Remove all of this, audit logs and kept home directories included?"); err != nil {
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

// chosen are the leftovers of the bottles that words mean, all of them for none.
// A launch of which only containers are left is known by its identity alone.
func (r *run) chosen(only []string, left []launch.Leftover, held []bottle.Identity) ([]launch.Leftover, []bottle.Identity, error) {
	if len(only) == 0 {
		return left, held, nil
	}
	var ids []bottle.Identity
	for _, word := range only {
		id := bottle.Identity(word)
		if !slices.ContainsFunc(left, func(l launch.Leftover) bool { return l.Identity == id }) {
			s, err := r.state(word)
			if err != nil {
				return nil, nil, err
			}
			id = s.Identity
		}
		ids = append(ids, id)
	}
	left = slices.DeleteFunc(left, func(l launch.Leftover) bool { return !slices.Contains(ids, l.Identity) })
	held = slices.DeleteFunc(held, func(id bottle.Identity) bool { return !slices.Contains(ids, id) })
	return left, held, nil
}
