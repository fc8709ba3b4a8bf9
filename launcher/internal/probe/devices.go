//go:build linux

package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
)

// devices are where the kernel lists them, and what of each is a fact.
var devices = map[string]struct {
	list string
	tell func(dir string) (string, error)
}{
	"disks": {"/sys/block/*", func(dir string) (string, error) {
		ro, err := oneLine(dir, "ro")
		return filepath.Base(dir) + " ro=" + ro, err
	}},
	"hardware": {"/sys/bus/pci/devices/*", func(dir string) (string, error) {
		vendor, err := oneLine(dir, "vendor")
		if err != nil {
			return "", err
		}
		device, err := oneLine(dir, "device")
		return strings.TrimPrefix(vendor, "0x") + ":" + strings.TrimPrefix(device, "0x"), err
	}},
	"ports": {"/sys/class/virtio-ports/*", func(dir string) (string, error) { return oneLine(dir, "name") }},
}

func oneLine(dir, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(data)), err
}

// listDevices tells of each device of a machine what it is.
func listDevices(kind string, r *wire.ProbeReport) error {
	dirs, err := filepath.Glob(devices[kind].list)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		fact, err := devices[kind].tell(dir)
		if err != nil {
			return fmt.Errorf("the %s cannot be listed: %w", kind, err)
		}
		r.Facts = append(r.Facts, fact)
	}
	return nil
}
