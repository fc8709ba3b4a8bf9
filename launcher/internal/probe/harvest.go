//go:build linux

package probe

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of a harvest, in bytes.
const (
	maxHarvested = 1 << 20
	maxHarvest   = 96 << 20
)

// HarvestEnd begins the last line of a harvest.
const HarvestEnd = "\nend of the harvest: "

// Harvest prints what the guest could know: the environments and arguments of
// its processes, its mounts, and its files but those of the image's programs.
// Outside it is searched for secrets, so that none has to be brought in to be
// looked for.
func Harvest(out io.Writer) error { return harvestFrom("/", out) }

// harvestFrom is [Harvest] with the files below a directory.
func harvestFrom(root string, out io.Writer) error {
	h := &harvest{out: out}
	for _, pattern := range []string{"/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline", "/proc/self/mountinfo", "/proc/cmdline"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, name := range found {
			h.file(name)
		}
	}
	_ = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case e.IsDir() && (name == "/proc" || name == "/sys" || name == "/usr" || name == "/dev" || strings.HasPrefix(name, "/.bottle-probe")):
			return fs.SkipDir
		case e.Type().IsRegular():
			h.file(name)
		}
		return h.err
	})
	if shared, err := os.ReadDir("/dev/shm"); err == nil {
		for _, e := range shared {
			if e.Type().IsRegular() {
				h.file(filepath.Join("/dev/shm", e.Name()))
			}
		}
	}
	fmt.Fprintf(out, "%s%d files, %d bytes, %d left out\n", HarvestEnd, h.files, h.bytes, h.left)
	return h.err
}

type harvest struct {
	out         io.Writer
	files, left int
	bytes       int64
	err         error
}

// file prints the beginning of a file that can be read.
func (h *harvest) file(name string) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return
	} else if fi.Size() > maxHarvested || h.bytes > maxHarvest {
		h.left++
		return
	}
	if _, err := fmt.Fprintf(h.out, "\n%q\n", name); err != nil {
		h.err = err
	}
	n, err := io.Copy(h.out, io.LimitReader(f, maxHarvested))
	if err != nil && n == 0 {
		return // it cannot be read after all
	}
	h.files, h.bytes = h.files+1, h.bytes+n
}
