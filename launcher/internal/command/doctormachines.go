package command

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// examineMachines looks at what virtual machines need. Containers do without, so
// that what is missing is a fault only where the environment asks for a driver.
func (r *run) examineMachines(ctx context.Context, home string, line lineFunc) {
	driver := r.getenv(vm.DriverVariable)
	for _, f := range vm.Examine(ctx, r.getenv) {
		wanted := driver == f.What || driver != "" && (f.What == "guest kit" || f.What == "e2fsprogs")
		if f.Missing != nil && !wanted {
			line(f.What, "for virtual machines only: "+f.Missing.Error(), nil)
			continue
		}
		line(f.What, f.Found, f.Missing)
	}
	if driver != "" {
		_, err := vm.NewDriver(driver, r.getenv)
		line("driver", driver+", by "+vm.DriverVariable, err)
	}
	found, err := roomForMachines(filepath.Join(home, "cache", "machines"))
	line("machines' disk", found, err)
}

// roomForMachines says how much of a machine's disk the host's has room for.
func roomForMachines(dir string) (string, error) {
	free, _, err := room(dir)
	if err != nil {
		return "", fmt.Errorf("cannot tell how much room there is for %s: %w", dir, err)
	}
	if free < vm.LayerBytes {
		return fmt.Sprintf("%d GiB free for %s, and a machine may write %d GiB; make room (`launcher cleanup`), or move BOTTLE_HOME, before one does", free>>30, dir, int64(vm.LayerBytes)>>30), nil
	}
	return fmt.Sprintf("room for %d machines that write all of their %d GiB, in %s", free/vm.LayerBytes, int64(vm.LayerBytes)>>30, dir), nil
}
