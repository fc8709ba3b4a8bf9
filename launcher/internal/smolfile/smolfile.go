// Package smolfile is the format of a Smolfile, with which smolvm describes a
// machine: its keys as types, a writer, and a reader that refuses what it does not
// know. The keys are those of smolvm's own parser, which is as strict
// (github.com/smol-machines/smolvm, crates/smolvm-smolfile/src/lib.rs and
// docs/smolfile.md); gpu, cuda, rosetta and docker_socket, which open doors to the
// host, are left out on purpose.
//
// [File.Confined] says whether a file gives a machine no more than a bottle's.
package smolfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/bottlesuite/bottle/internal/wire"
)

// File is a Smolfile. The zero value of a key leaves it out, but for those that
// have no omitempty: what they say is said aloud.
type File struct {
	Image      string   `toml:"image,omitempty"`
	Entrypoint []string `toml:"entrypoint,omitempty"`
	Cmd        []string `toml:"cmd,omitempty"`
	Env        []string `toml:"env,omitempty"` // NAME=VALUE
	Workdir    string   `toml:"workdir,omitempty"`
	CPUs       uint8    `toml:"cpus,omitzero"`
	Memory     uint32   `toml:"memory,omitzero"` // MiB
	Net        bool     `toml:"net"`
	Ports      []string `toml:"ports,omitempty"`   // HOST:GUEST
	Volumes    []string `toml:"volumes,omitempty"` // HOST:GUEST[:ro], directories
	Init       []string `toml:"init,omitempty"`    // shell commands, as root
	Storage    uint64   `toml:"storage,omitzero"`  // GiB, for the image and what is written over it
	Overlay    uint64   `toml:"overlay,omitzero"`  // GiB, for what is written beside it

	Network  *Network          `toml:"network,omitempty"`
	Restart  *Restart          `toml:"restart,omitempty"`
	Auth     *Auth             `toml:"auth,omitempty"`
	Health   *Health           `toml:"health,omitempty"`
	Service  *Service          `toml:"service,omitempty"`
	Dev      *Dev              `toml:"dev,omitempty"`
	Artifact *Artifact         `toml:"artifact,omitempty"`
	Secrets  map[string]Secret `toml:"secrets,omitempty"`
}

// Network is what smolvm's own network stack lets out.
type Network struct {
	AllowHosts []string `toml:"allow_hosts"` // resolved when the machine starts
	AllowCIDRs []string `toml:"allow_cidrs"`
}

// Restart says what becomes of a machine that ends.
type Restart struct {
	Policy     string `toml:"policy"` // never, always, on-failure, unless-stopped
	MaxRetries uint32 `toml:"max_retries,omitzero"`
	MaxBackoff string `toml:"max_backoff,omitempty"`
}

// Auth lends credentials of the host's.
type Auth struct {
	SSHAgent bool `toml:"ssh_agent"`
}

// Health is a command that says whether the machine is well.
type Health struct {
	Exec         []string `toml:"exec,omitempty"`
	Interval     string   `toml:"interval,omitempty"`
	Timeout      string   `toml:"timeout,omitempty"`
	Retries      uint32   `toml:"retries,omitzero"`
	StartupGrace string   `toml:"startup_grace,omitempty"`
}

// Service is where the machine serves.
type Service struct {
	Port     uint16 `toml:"port,omitzero"`
	Protocol string `toml:"protocol,omitempty"`
	Listen   uint16 `toml:"listen,omitzero"`
}

// Dev is what holds on a developer's own host.
type Dev struct {
	Volumes []string `toml:"volumes,omitempty"`
	Env     []string `toml:"env,omitempty"`
	Init    []string `toml:"init,omitempty"`
	Workdir string   `toml:"workdir,omitempty"`
	Ports   []string `toml:"ports,omitempty"`
}

// Artifact is what holds in a packed machine.
type Artifact struct {
	CPUs        uint8    `toml:"cpus,omitzero"`
	Memory      uint32   `toml:"memory,omitzero"`
	Entrypoint  []string `toml:"entrypoint,omitempty"`
	Cmd         []string `toml:"cmd,omitempty"`
	OCIPlatform string   `toml:"oci_platform,omitempty"`
}

// Secret names where the host has a value: one of the two.
type Secret struct {
	FromEnv  string `toml:"from_env,omitempty"`
	FromFile string `toml:"from_file,omitempty"`
}

// Marshal writes a file, below a comment.
func Marshal(f File, comment string) ([]byte, error) {
	var b bytes.Buffer
	for line := range strings.Lines(comment) {
		b.WriteString("# " + strings.TrimRight(line, "\n") + "\n")
	}
	e := toml.NewEncoder(&b)
	e.Indent = ""
	if err := e.Encode(f); err != nil {
		return nil, fmt.Errorf("cannot write the Smolfile: %w", err)
	}
	return b.Bytes(), nil
}

// Parse reads a file. Name is what errors call it. A key that is not of the format
// is an error, as it is for smolvm.
func Parse(name string, data []byte) (File, error) {
	var f File
	meta, err := toml.Decode(string(data), &f)
	if err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return File{}, fmt.Errorf("%s:%d: %s", name, at.Position.Line, at.Message)
		}
		return File{}, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "toml: "))
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0]
		return File{}, fmt.Errorf("%s:%d: there is no key %q in a Smolfile%s", name, line(data, key), key.String(), wire.DidYouMean(key[len(key)-1], siblings(key)))
	}
	for name, s := range f.Secrets {
		if (s.FromEnv == "") == (s.FromFile == "") {
			return File{}, fmt.Errorf("%s:%d: the secret %s needs either from_env or from_file", name, line(data, toml.Key{"secrets", name}), name)
		}
	}
	return f, nil
}

// tables are the keys of each table, "" being the top.
var tables = map[string][]string{
	"":         keys(File{}),
	"network":  keys(Network{}),
	"restart":  keys(Restart{}),
	"auth":     keys(Auth{}),
	"health":   keys(Health{}),
	"service":  keys(Service{}),
	"dev":      keys(Dev{}),
	"artifact": keys(Artifact{}),
	"secrets":  keys(Secret{}),
}

// siblings are the keys that may stand where key stands.
func siblings(key toml.Key) []string {
	if known, ok := tables[key[0]]; ok && len(key) > 1 {
		return known
	}
	return tables[""]
}

// line is where a key stands in a file: behind its table's heading, if it has one.
// The decoder knows what it did not take, but not where it was.
func line(data []byte, key toml.Key) int {
	table := ""
	for n, text := range slices.Collect(strings.Lines(string(data))) {
		text = strings.TrimSpace(text)
		if heading, ok := strings.CutPrefix(text, "["); ok {
			table = strings.TrimSpace(strings.SplitN(strings.TrimLeft(heading, "["), "]", 2)[0])
			if table == key.String() {
				return n + 1
			}
			continue
		}
		name, _, _ := strings.Cut(text, "=")
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		if table != "" {
			name = table + "." + name
		}
		if full := key.String(); name == full || strings.HasPrefix(full, name+".") {
			return n + 1
		}
	}
	return 1
}
