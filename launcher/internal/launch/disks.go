package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// disks is where the disks of images are.
func (h *Host) disks() string { return filepath.Join(h.Home.Dir, "cache", "machines") }

// TrimDisks removes disks of images that machines do not need any more, and says what
// was freed, "" for nothing.
func (h *Host) TrimDisks() (string, error) {
	freed, err := vm.Trim(h.disks(), time.Now(), h.usedImages)
	if freed.Disks == 0 {
		return "", err
	}
	what := "1 disk of an image"
	if freed.Disks > 1 {
		what = fmt.Sprintf("%d disks of images", freed.Disks)
	}
	return fmt.Sprintf("freed %.1f GiB: %s, which no bottle used lately, or beyond the %d GiB that all may take",
		float64(freed.Bytes)/(1<<30), what, vm.DisksBytes>>30), err
}

// usedImages are the images of agents that live or can be gone on with.
func (h *Host) usedImages() (ids []string, err error) {
	all, err := h.Home.Identities()
	if err != nil {
		return nil, err
	}
	for _, id := range all {
		s := h.Home.State(id)
		k, err := layerOf(s).Find(id)
		if err == nil && k != nil {
			ids = append(ids, k.Image)
		}
		m, err := s.Metadata()
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(s.Path(snapshotFile)); err == nil || k != nil || s.Held() {
			ids = append(ids, m.Images["agent"])
		}
	}
	return ids, nil
}
