package launch

import (
	"os"
	"slices"
	"testing"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// The image of a bottle stays while the bottle lives, and while it can be gone on
// with; a machine's disk names the image that it was written over.
func TestUsedImages(t *testing.T) {
	h := &Host{Home: bottle.Home{Dir: t.TempDir()}}
	for id, prepare := range map[bottle.Identity]func(s bottle.State) error{
		"ended-aaaaa": func(bottle.State) error { return nil },
		"lives-aaaaa": func(s bottle.State) error {
			lock, err := s.Lock()
			if err == nil {
				t.Cleanup(lock.Release)
			}
			return err
		},
		"home-aaaaa": func(s bottle.State) error {
			if err := os.Mkdir(s.Path("snapshot"), 0o700); err != nil {
				return err
			}
			return os.WriteFile(s.Path(snapshotFile), nil, 0o600)
		},
		"disk-aaaaa": func(s bottle.State) error {
			l := layerOf(s)
			if err := os.MkdirAll(l.Dir, 0o700); err != nil {
				return err
			}
			f, err := os.Create(l.File())
			if err != nil {
				return err
			}
			defer f.Close()
			if err := f.Truncate(vm.LayerBytes); err != nil {
				return err
			}
			return l.Keep(vm.Kept{Identity: "disk-aaaaa", Image: "before"})
		},
	} {
		s := h.Home.State(id)
		if err := s.Create(); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteMetadata(bottle.Metadata{Version: 1, Identity: id, State: bottle.StateStopped, Images: map[string]string{"agent": string(id)}}); err != nil {
			t.Fatal(err)
		}
		if err := prepare(s); err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.usedImages()
	slices.Sort(got)
	if want := []string{"before", "disk-aaaaa", "home-aaaaa", "lives-aaaaa"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.WriteFile(h.Home.State("ended-aaaaa").Path("metadata.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.usedImages(); err == nil {
		t.Error("nobody knows what a bottle with damaged metadata uses")
	}
}
