package guestinit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The machine's two disks.
const (
	imageDir = "/image"
	layerDir = "/layer"
)

// root puts the agent's image under what the machine writes.
func root() error {
	for _, disk := range []mount{
		{"/dev/vda", imageDir, "ext4", unix.MS_RDONLY | unix.MS_NODEV, "noload"},
		// A second after a write at most it is in the journal: the machine may be
		// ended at any moment, and is gone on with from its disk.
		{"/dev/vdb", layerDir, "ext4", unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOATIME, "commit=1,noinit_itable,errors=remount-ro"},
	} {
		if _, err := wait(disk.source, func() (os.FileInfo, error) { return os.Stat(disk.source) }); err != nil {
			return err
		}
		if err := disk.do(); err != nil {
			if disk.target == layerDir && spec.Layer.Kept {
				return fmt.Errorf("the disk that was kept is damaged, and is not made anew: %w", err)
			}
			return err
		}
	}
	if err := writeSoon(); err != nil {
		return err
	}
	upper, err := layer{layerDir}.upper(spec.Layer.Image, spec.Layer.Kept)
	if err != nil {
		return err
	}
	return mount{"overlay", newRoot, "overlay", unix.MS_NODEV | unix.MS_NOSUID,
		"lowerdir=" + imageDir + ",upperdir=" + upper + ",workdir=" + layerDir + "/work"}.do()
}

// writeSoon has the kernel write what is older than a second, where it would leave
// it in memory for half a minute.
func writeSoon() error {
	for name, hundredths := range map[string]string{"dirty_expire_centisecs": "100", "dirty_writeback_centisecs": "50"} {
		if err := os.WriteFile("/proc/sys/vm/"+name, []byte(hundredths), 0); err != nil {
			return fmt.Errorf("cannot have the kernel write soon: %w", err)
		}
	}
	return nil
}

// layer is the file system of the machine's own disk. What was written over an image
// is in a directory named after it.
type layer struct{ dir string }

const (
	upperPrefix = "upper-"
	// nextDir becomes the directory of another image, once the home is in it.
	nextDir = "next"
)

// upper is the directory for what is written over an image. A disk that was kept
// has one, of this image or of another; from that one the home directory alone goes
// over, as it does where a bottle in a container goes on with another image. Ended
// in the middle, it goes on where it was.
func (l layer) upper(image string, kept bool) (string, error) {
	upper := filepath.Join(l.dir, upperPrefix+image)
	if err := os.Mkdir(filepath.Join(l.dir, "work"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if !kept {
		return upper, os.Mkdir(upper, 0o755)
	}
	others, err := l.others(upper)
	if err != nil {
		return "", err
	}
	if fi, err := os.Lstat(upper); err != nil || !fi.IsDir() {
		if err := l.carry(others, upper); err != nil {
			return "", fmt.Errorf("cannot take the home directory over to another image: %w", err)
		}
	}
	for _, dir := range others {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	return upper, nil
}

// others are the directories of other images.
func (l layer) others(upper string) (dirs []string, err error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if dir := filepath.Join(l.dir, e.Name()); strings.HasPrefix(e.Name(), upperPrefix) && dir != upper && e.IsDir() {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// carry makes upper with the home directories that are in one of the others.
func (l layer) carry(others []string, upper string) error {
	next := filepath.Join(l.dir, nextDir)
	if err := os.Mkdir(next, 0o755); errors.Is(err, fs.ErrExist) {
		if len(others) == 0 {
			return os.Rename(next, upper)
		}
	} else if err != nil {
		return err
	} else if len(others) == 0 {
		return errors.Join(errors.New("the disk that was kept holds nothing that a machine wrote"), os.Remove(next))
	}
	for _, dir := range others {
		if err := os.Rename(filepath.Join(dir, "home"), filepath.Join(next, "home")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(next, upper)
}
