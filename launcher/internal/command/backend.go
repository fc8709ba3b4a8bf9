package command

import (
	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

func backendFlag() *cli.StringFlag {
	return &cli.StringFlag{Name: "backend", Value: launch.Docker, Usage: "what isolates the agent: docker (a container) or smolmachines (a virtual machine)"}
}

// backend reads the flag, and refuses what is not there or cannot be combined.
func (r *run) backend(c *cli.Context) (machine bool, err error) {
	switch b := c.String("backend"); b {
	case launch.Docker:
		return false, nil
	case launch.Smolmachines:
	case "local":
		return false, mendf("there is no backend local: an agent that runs on this host as it is would be a bottle without a boundary; use docker, or smolmachines for a virtual machine")
	default:
		return false, mendf("there is no backend %q%s; use docker or smolmachines", b, wire.DidYouMean(b, []string{launch.Docker, launch.Smolmachines}))
	}
	if c.Bool("mount") {
		return false, mendf("--mount shows a directory of this host, which a virtual machine does not; without it, --cwd copies the directory, and `launcher copy-out` brings it back")
	}
	_, err = vm.NewDriver(r.getenv(vm.DriverVariable), r.getenv)
	return err == nil, mend(err)
}
