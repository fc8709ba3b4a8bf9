//go:build !linux

package command

import "github.com/urfave/cli/v2"

func (r *run) probeCommand() *cli.Command {
	return &cli.Command{Name: "probe", Hidden: true, Action: func(*cli.Context) error {
		return mendf("the probe runs inside a bottle, which is Linux")
	}}
}

// ownBinary is none: the guest is Linux, and this program is not.
func ownBinary() (string, error) {
	return "", mendf("verify copies the launcher into the bottle, so it needs a launcher that is a program for Linux")
}
