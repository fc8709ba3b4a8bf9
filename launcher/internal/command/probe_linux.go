package command

import (
	"errors"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/launcher/internal/probe"
)

// probeCommand is what `verify` runs inside a bottle. Nobody else has a use for it.
func (r *run) probeCommand() *cli.Command {
	return &cli.Command{
		Name: "probe", Hidden: true, Usage: "make the attempts of verify, inside a bottle",
		Action: func(c *cli.Context) error {
			if c.Args().First() == "harvest" {
				return probe.Harvest(r.stdio.Out)
			}
			return probe.Run(c.Context, r.stdio.In, r.stdio.Out)
		},
	}
}

// ownBinary is the launcher's own program, which is copied into the guest.
func ownBinary() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", errors.Join(errors.New("the launcher's own program cannot be found, so it cannot be copied into the bottle"), err)
	}
	return path, nil
}
