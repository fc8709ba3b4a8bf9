package bottle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
)

// Home is the operator's directory: $BOTTLE_HOME, or ~/.bottle.
type Home struct{ Dir string }

// FindHome finds the home by an environment; it creates nothing.
func FindHome(getenv func(string) string) (Home, error) {
	dir := getenv("BOTTLE_HOME")
	if dir == "" {
		user := getenv("HOME")
		if user == "" {
			return Home{}, errors.New("neither BOTTLE_HOME nor HOME is set; set BOTTLE_HOME to a directory of your own")
		}
		dir = filepath.Join(user, ".bottle")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, fmt.Errorf("cannot resolve BOTTLE_HOME: %w", err)
	}
	return Home{dir}, nil
}

// Bottles is where bottle manifests live.
func (h Home) Bottles() string { return filepath.Join(h.Dir, "bottles") }

// Agents is where agent manifests live.
func (h Home) Agents() string { return filepath.Join(h.Dir, "agents") }

// States is where each launch has its state directory.
func (h Home) States() string { return filepath.Join(h.Dir, "state") }

// State is the state of one identity, whether it exists or not.
func (h Home) State(id Identity) State {
	return State{Identity: id, Dir: filepath.Join(h.States(), string(id))}
}

// Identities lists the identities that have a state directory, sorted.
func (h Home) Identities() ([]Identity, error) {
	entries, err := os.ReadDir(h.States())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the states: %w", err)
	}
	var ids []Identity
	for _, e := range entries {
		if id, err := ParseIdentity(e.Name()); err == nil && e.IsDir() {
			ids = append(ids, id)
		}
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids, nil
}
