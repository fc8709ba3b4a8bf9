package vm

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// KitVariable names the directory with what machines are made of.
const KitVariable = "BOTTLE_GUEST"

// Kit is what every machine is made of. `make guest` makes one.
type Kit struct {
	// Kernel is the kernel unpacked where the kit has it so: unpacking takes an
	// emulated machine a second of each start.
	Kernel  string
	Modules string // a directory with the file "order"
	Init    string
}

// FindKit finds the kit: the directory that the environment names, or "guest"
// beside the launcher.
func FindKit(getenv func(string) string) (*Kit, error) {
	dir := getenv(KitVariable)
	if dir == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("cannot find the launcher's own directory: %w", err)
		}
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir = filepath.Join(filepath.Dir(exe), "guest")
	}
	k := &Kit{Kernel: filepath.Join(dir, "vmlinuz"), Modules: filepath.Join(dir, "modules"), Init: filepath.Join(dir, "guestinit")}
	if plain := filepath.Join(dir, "vmlinux"); regular(plain) {
		k.Kernel = plain
	}
	for _, f := range []string{k.Kernel, filepath.Join(k.Modules, "order"), k.Init} {
		if !regular(f) {
			return nil, &engine.Problem{
				What:   f + ", which a virtual machine is started with, is missing",
				Remedy: "run `make guest`, or set " + KitVariable + " to the directory that it made",
			}
		}
	}
	return k, nil
}

func regular(file string) bool {
	fi, err := os.Stat(file)
	return err == nil && fi.Mode().IsRegular()
}
