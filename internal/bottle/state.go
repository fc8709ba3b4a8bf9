package bottle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// States of a launch, as metadata and `launcher list` show them.
const (
	StateStarting = "starting"
	StateRunning  = "running"
	// StateDegraded is a bottle that is up, of which a container has ended or is
	// paused: the agent has no way out any more, or is gone itself.
	StateDegraded = "degraded"
	StateStopping = "stopping"
	StateStopped  = "stopped"
	// StateOrphaned is never stored: it is what a launch is called whose
	// launcher is gone without having stopped it.
	StateOrphaned = "orphaned"
)

// Metadata is metadata.json in the state directory.
type Metadata struct {
	Version  int      `json:"version"`
	Identity Identity `json:"identity"`
	// Name is what the operator calls it, "" for nothing.
	Name      string     `json:"name,omitempty"`
	Agent     string     `json:"agent"`
	Bottle    string     `json:"bottle"`
	Backend   string     `json:"backend"`
	State     string     `json:"state"`
	StartedAt time.Time  `json:"started_at"`
	StoppedAt *time.Time `json:"stopped_at,omitempty"`
	PID       int        `json:"pid"`
	Subnet    string     `json:"subnet,omitempty"`
	Runtime   string     `json:"runtime,omitempty"`
	// Supervise says that superviserd stands in the bottle.
	Supervise bool `json:"supervise,omitempty"`
	// Git says that gitgated stands in the bottle.
	Git bool `json:"git,omitempty"`
	// Workspace is the directory of the host from which the agent's workspace was
	// copied, or which is mounted there.
	Workspace string `json:"workspace,omitempty"`
	// Mounted says that it is mounted.
	Mounted bool `json:"workspace_mounted,omitempty"`
	// Image is the agent's image where it is the bottle's own.
	Image string `json:"image,omitempty"`
	// Images maps a service to the id of the image that it ran.
	Images map[string]string `json:"images,omitempty"`
	// CA maps "egress" and "pipelock" to the SHA-256 of their roots.
	CA map[string]string `json:"ca,omitempty"`
	// Failure says why the bottle is or was degraded.
	Failure string `json:"failure,omitempty"`
	// Tokens is the directory that holds the token files while it runs.
	Tokens string `json:"tokens_dir,omitempty"`
}

// State is the state directory of one launch.
type State struct {
	Identity Identity
	Dir      string
}

// Path joins elements below the state directory.
func (s State) Path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// Create makes the directory, which must not exist yet.
func (s State) Create() error {
	if err := os.MkdirAll(filepath.Dir(s.Dir), 0o700); err != nil {
		return fmt.Errorf("cannot create the state directory: %w", err)
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return fmt.Errorf("cannot create the state directory: %w", err)
	}
	return nil
}

// Remove deletes the directory and everything in it.
func (s State) Remove() error {
	if err := os.RemoveAll(s.Dir); err != nil {
		return fmt.Errorf("cannot remove the state of %s: %w", s.Identity, err)
	}
	return nil
}

// Exists reports whether there is a state directory.
func (s State) Exists() bool {
	fi, err := os.Stat(s.Dir)
	return err == nil && fi.IsDir()
}

// Metadata reads metadata.json. A launch that was killed before it wrote any
// yields what the identity alone tells.
func (s State) Metadata() (Metadata, error) {
	m := Metadata{Version: 1, Identity: s.Identity, Agent: s.Identity.Agent(), Backend: "docker", State: StateStarting}
	data, err := os.ReadFile(s.Path("metadata.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("cannot read the metadata of %s: %w", s.Identity, err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("the metadata of %s is damaged (%s): %w", s.Identity, s.Path("metadata.json"), err)
	}
	return m, nil
}

// WriteMetadata replaces metadata.json as a whole, so that a reader never sees
// half of it.
func (s State) WriteMetadata(m Metadata) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := Replace(s.Path("metadata.json"), append(data, '\n')); err != nil {
		return fmt.Errorf("cannot write the metadata: %w", err)
	}
	return nil
}

// Current is the metadata with the state as it really is: what claims to live
// although nobody holds the lock is orphaned.
func (s State) Current() (Metadata, error) {
	m, err := s.Metadata()
	if err != nil {
		return m, err
	}
	if m.State != StateStopped && !s.Held() {
		m.State = StateOrphaned
	}
	return m, nil
}
