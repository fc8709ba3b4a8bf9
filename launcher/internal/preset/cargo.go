package preset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// cargo reads the operator's own configuration, in CARGO_HOME. Cargo does not
// tell the hosts of the registry that is built into it, so a bottle gets those
// that are configured: a mirror by source replacement, and further registries.
func cargo(_ context.Context, m *Machine) (*Preset, error) {
	dir := m.Getenv("CARGO_HOME")
	if dir == "" {
		dir = filepath.Join(m.Getenv("HOME"), ".cargo")
	}
	for _, name := range []string{"config", "config.toml"} { // in cargo's order
		file := filepath.Join(dir, name)
		data, err := m.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read cargo's configuration: %w", err)
		}
		return readCargo(file, data)
	}
	return nil, fmt.Errorf("there is no %s that names a registry; %w", filepath.Join(dir, "config.toml"), errCargo)
}

var errCargo = errors.New("cargo does not tell the hosts that are built into it, so name a mirror there ([source.crates-io] replace-with), or write the hosts as egress.routes")

// cargoConfig is the part of cargo's configuration that says where crates are.
type cargoConfig struct {
	Source     map[string]cargoSource   `toml:"source,omitempty"`
	Registries map[string]cargoRegistry `toml:"registries,omitempty"`
}

type cargoSource struct {
	ReplaceWith string `toml:"replace-with,omitempty"`
	Registry    string `toml:"registry,omitempty"`
}

type cargoRegistry struct {
	Index string `toml:"index"`
}

// readCargo reads config.toml.
func readCargo(file string, data []byte) (*Preset, error) {
	var c cargoConfig
	if _, err := toml.Decode(string(data), &c); err != nil {
		return nil, fmt.Errorf("%s is not valid TOML; `cargo version` shows where", file) // an excerpt could hold a token
	}
	if err := c.checkNames(file); err != nil {
		return nil, err
	}
	p := &Preset{}
	kept := cargoConfig{Source: map[string]cargoSource{}, Registries: map[string]cargoRegistry{}}
	for _, name := range slices.Sorted(maps.Keys(c.Source)) {
		clean, err := p.addIndex(file, name, c.Source[name].Registry)
		if err != nil {
			return nil, err
		}
		// Neither: a directory of this machine, or a git repository.
		if with := c.Source[name].ReplaceWith; clean != "" || with != "" {
			kept.Source[name] = cargoSource{ReplaceWith: with, Registry: clean}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Registries)) {
		clean, err := p.addIndex(file, name, c.Registries[name].Index)
		if err != nil {
			return nil, err
		}
		if clean != "" {
			kept.Registries[name] = cargoRegistry{Index: clean}
		}
	}
	if len(p.Sites) == 0 {
		return nil, fmt.Errorf("%s names no registry; %w", file, errCargo)
	}
	p.note("crates themselves may come from other hosts than the index of %s, which then need routes", p.Sites[0].Host)
	text, err := toml.Marshal(kept)
	p.Files = map[string][]byte{"cargo/config.toml": text}
	return p, err
}

var cargoName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// checkNames refuses names that are more than names: they are copied.
func (c cargoConfig) checkNames(file string) error {
	names := slices.AppendSeq(slices.Collect(maps.Keys(c.Source)), maps.Keys(c.Registries))
	for _, s := range c.Source {
		if s.ReplaceWith != "" {
			names = append(names, s.ReplaceWith)
		}
	}
	if slices.ContainsFunc(names, func(n string) bool { return !cargoName.MatchString(n) }) {
		return fmt.Errorf("%s calls a registry by a name that is not of letters, digits, hyphens and underscores; rename it", file)
	}
	return nil
}

// addIndex takes the URL of a sparse index. One in git is reached by a fetch,
// which a read-only route does not allow, so it is left out with a note.
func (p *Preset) addIndex(file, name, index string) (clean string, err error) {
	if index == "" {
		return "", nil
	}
	sparse, ok := strings.CutPrefix(index, "sparse+")
	if !ok {
		p.note("the registry %s of %s was left out: its index is in git, and a bottle reads sparse+https:// ones", name, file)
		return "", nil
	}
	s, u, err := parseSite(file+" ("+name+")", sparse)
	if err != nil {
		return "", err
	}
	p.Sites = append(p.Sites, s)
	return "sparse+" + u.String(), nil
}
