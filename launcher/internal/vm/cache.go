package vm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// What the disks of images may take, until the oldest of them go, and how long one
// stays that no machine uses.
const (
	DisksBytes = 20 << 30
	DisksAge   = 14 * 24 * time.Hour
	// disksFresh is how long a disk stays in any case: a machine may be about to
	// open it, and another launcher may be writing it.
	disksFresh = time.Hour
)

// Endings of files in the cache: a disk, and one that is being made.
const (
	diskEnding = ".ext4"
	partEnding = ".ext4.part"
)

// imageFile is the disk of an image.
func imageFile(dir, id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(dir, hex.EncodeToString(sum[:16])+diskEnding)
}

// Freed is what was removed.
type Freed struct {
	Disks int
	Bytes int64
}

// Trim removes disks of images from their directory: those that no machine used for
// [DisksAge], then the longest unused while the rest takes more than [DisksBytes],
// and what a launcher that was killed left unfinished. Used are the ids of images
// whose disks stay; it is asked only when there is something to remove. A disk that
// goes too early is made again.
func Trim(dir string, now time.Time, used func() (ids []string, err error)) (Freed, error) {
	old, err := outdated(dir, now)
	if err != nil || len(old) == 0 {
		return Freed{}, err
	}
	ids, err := used()
	if err != nil {
		return Freed{}, fmt.Errorf("cannot tell which disks of images are used: %w", err)
	}
	var freed Freed
	over := old[0].total - DisksBytes
	for _, d := range old {
		if slices.ContainsFunc(ids, func(id string) bool { return imageFile(dir, id) == d.file }) || d.age < DisksAge && !d.part && over <= 0 {
			continue
		}
		gone, err := d.remove()
		if err != nil {
			return freed, err
		}
		if gone {
			over -= d.size
			freed.Disks++
			freed.Bytes += d.size
		}
	}
	return freed, nil
}

// cached is a file of the cache that may go.
type cached struct {
	file        string
	part        bool
	size, total int64 // its own, and that of all files
	age         time.Duration
	used        time.Time
}

// outdated are the files that may go, the longest unused first.
func outdated(dir string, now time.Time) ([]cached, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot look at the disks of images: %w", err)
	}
	var all []cached
	var total int64
	for _, e := range entries {
		fi, err := e.Info()
		part := strings.HasSuffix(e.Name(), partEnding)
		if err != nil || !fi.Mode().IsRegular() || !part && !strings.HasSuffix(e.Name(), diskEnding) {
			continue // gone meanwhile, or not ours
		}
		total += fi.Size()
		all = append(all, cached{file: filepath.Join(dir, e.Name()), part: part, size: fi.Size(), age: now.Sub(fi.ModTime()), used: fi.ModTime()})
	}
	all = slices.DeleteFunc(all, func(d cached) bool {
		return d.age < disksFresh || !d.part && d.age < DisksAge && total <= DisksBytes
	})
	for i := range all {
		all[i].total = total
	}
	slices.SortStableFunc(all, func(a, b cached) int { return a.used.Compare(b.used) })
	return all, nil
}

// remove removes the file, unless somebody used it meanwhile.
func (d cached) remove() (gone bool, err error) {
	unlock, err := lockedfile.MutexAt(strings.TrimSuffix(d.file, ".part") + ".lock").Lock()
	if err != nil {
		return false, fmt.Errorf("cannot lock the disk of an image: %w", err)
	}
	defer unlock()
	fi, err := os.Lstat(d.file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.ModTime().Equal(d.used) {
		return false, nil
	}
	if err == nil {
		err = os.Remove(d.file)
	}
	if err != nil {
		return false, fmt.Errorf("cannot remove the disk of an image: %w", err)
	}
	return true, nil
}
