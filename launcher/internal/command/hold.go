package command

import (
	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/launcher/internal/smolvm"
	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// holdCommand is what the launcher starts itself as, in namespaces of its own, to
// hold a machine of smolvm's.
func (r *run) holdCommand() *cli.Command {
	return &cli.Command{
		Name: vm.HolderCommand, Hidden: true, Usage: "hold a machine of smolvm's, for the launcher",
		Action: func(*cli.Context) error { return smolvm.Hold(r.stdio.In, r.stdio.Out, r.stdio.Err) },
	}
}
