package bundle

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/secretscan"
	"github.com/bottlesuite/bottle/internal/wire"
)

// NewCanary makes a value that is of no use but to be seen leaving.
func NewCanary() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

// CheckKnown reports why a value is not one that pipelockd could look for.
func CheckKnown(name, value string) error {
	_, err := secretscan.NewKey(make([]byte, 32)).Fingerprint(name, secretscan.KnownSecret, []byte(value))
	return err
}

// known reports whether pipelockd is told of values that must not leave.
func (s *Spec) known() bool { return len(s.Known)+len(s.Canaries) > 0 }

// knownFiles are the fingerprints of the values that must not leave, and the key
// under which they were made. Their values are in neither.
func (s *Spec) knownFiles() ([]File, error) {
	if !s.known() {
		return nil, nil
	}
	raw, err := hex.DecodeString(s.Keys.Known)
	if err != nil {
		return nil, fmt.Errorf("the key of known values: %w", err)
	}
	key := secretscan.NewKey(raw)
	file := wire.Known{Version: wire.Version}
	add := func(name string, kind secretscan.KnownKind, value string) error {
		f, err := key.Fingerprint(name, kind, []byte(value))
		if err != nil {
			return err
		}
		var pieces strings.Builder
		for _, h := range f.Pieces {
			fmt.Fprintf(&pieces, "%016x", h)
		}
		file.Values = append(file.Values, wire.KnownValue{Name: name, Kind: string(kind), Pieces: pieces.String()})
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Known)) {
		if err := add(name, secretscan.KnownSecret, s.Known[name].Reveal()); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Canaries)) {
		if err := add(name, secretscan.Canary, s.Canaries[name]); err != nil {
			return nil, err
		}
	}
	f, err := config("ca/pipelock/known.yaml", file)
	if err != nil {
		return nil, err
	}
	return []File{f, {Path: "ca/pipelock/known.key", Mode: 0o600, Data: []byte(s.Keys.Known + "\n"), Sidecar: true}}, nil
}

// Secrets are values by name, masked when printed.
type Secrets map[string]secret.String
