// Package preset turns a word of a manifest, such as npm, into read-only routes
// for the hosts that the operator's own package client is configured for, and
// into the settings with which the same client works inside a bottle.
//
// No host is written down here. What a client reads is asked of the client
// (`npm config`, `go env`) or read from its files (pip, apt, cargo), never from
// the working directory: a cloned repository has no say in where packages come
// from. For each client there is a pure function from configuration text to a
// [Preset]; [Machine] is all that it may look at.
//
// A URL that holds a credential loses it ([Site.Credential] says so), because
// every setting ends up where the agent can read it. What a bottle cannot
// honour, such as a proxy in a local directory, is an error or a note, in a
// sentence.
package preset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Dir is where an agent finds the files of its presets.
const Dir = "/etc/bottle/clients"

// Preset is what a name stands for on one machine.
type Preset struct {
	Name string
	// Sites are where the client gets packages from, without duplicates.
	Sites []Site
	// Env are variables of the agent. None of them holds a secret.
	Env map[string]string
	// Files are the client's settings that no variable can carry, by their path
	// below [Dir].
	Files map[string][]byte
	// Notes are sentences about what of the configuration was left out.
	Notes []string
}

// clients are the presets, by name.
var clients = map[string]func(context.Context, *Machine) (*Preset, error){
	"apt": apt, "cargo": cargo, "go": golang, "npm": npm, "pip": pip,
}

// Names are the presets that there are, sorted.
func Names() []string { return slices.Sorted(maps.Keys(clients)) }

// Machine is what a preset may look at.
type Machine struct {
	// Getenv is the operator's environment.
	Getenv func(name string) string
	// Run returns what a client printed. It is an [ErrNoClient] when there is no
	// such program.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
	// ReadFile is os.ReadFile for files of a sensible size, and Glob is
	// filepath.Glob.
	ReadFile func(name string) ([]byte, error)
	Glob     func(pattern string) ([]string, error)
	// Lookup resolves a name as this machine does.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// ErrNoClient says that a program is not installed.
var ErrNoClient = errors.New("it is not installed")

// Resolve finds out what a name stands for here. It runs the client, if at all,
// with a bound in time.
func Resolve(ctx context.Context, name string, m *Machine) (*Preset, error) {
	find, ok := clients[name]
	if !ok {
		return nil, fmt.Errorf("there is no preset %q", name)
	}
	p, err := find(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("the preset %s: %w", name, err)
	}
	p.Name = name
	p.Sites = unique(p.Sites)
	if err := p.judge(ctx, m); err != nil {
		return nil, fmt.Errorf("the preset %s: %w", name, err)
	}
	return p, nil
}

// Routes are the routes of all sites: only GET and HEAD, only below the path
// that the client is configured with.
func (p *Preset) Routes() []wire.Route {
	var out []wire.Route
	for _, s := range p.Sites {
		out = append(out, s.route())
	}
	return out
}

func (p *Preset) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}
