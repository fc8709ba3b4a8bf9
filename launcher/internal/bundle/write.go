package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// SidecarUser is the user that sidecars run as: the operator's own, so that it
// can read what the operator wrote, or an unprivileged one when the operator is
// root; then files are given to it.
func SidecarUser(uid, gid int) (int, int) {
	if uid == 0 {
		return 65532, 65532
	}
	return uid, gid
}

// directories of a bundle that containers see. Those of the agent are readable
// by its user; the bundle around them is private.
func (s *Spec) directories() []File {
	dirs := []File{
		{Path: "config", Mode: 0o700, Sidecar: true}, {Path: "ca", Mode: 0o700}, {Path: "audit", Mode: 0o700},
		{Path: "ca/agent", Mode: 0o755}, {Path: "clients", Mode: 0o755},
		{Path: "ca/pipelock", Mode: 0o700, Sidecar: true}, {Path: "audit/pipelock", Mode: 0o700, Sidecar: true},
	}
	if s.routes() {
		dirs = append(dirs, File{Path: "ca/egress", Mode: 0o700, Sidecar: true}, File{Path: "audit/egress", Mode: 0o700, Sidecar: true})
	}
	for _, f := range s.clients() {
		for dir := filepath.Dir(f.Path); dir != "clients"; dir = filepath.Dir(dir) {
			dirs = append(dirs, File{Path: dir, Mode: 0o755})
		}
	}
	return dirs
}

// Write writes files below dir, which must exist, and replaces those that are
// there.
func (s *Spec) Write(dir string, files []File) error {
	for _, d := range s.directories() {
		path := filepath.Join(dir, d.Path)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("cannot create the bundle: %w", err)
		}
		if err := s.own(path, d); err != nil {
			return err
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("cannot create the bundle: %w", err)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot replace a file of the bundle: %w", err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			return fmt.Errorf("cannot write the bundle: %w", err)
		}
		if err := s.own(path, f); err != nil {
			return err
		}
	}
	return nil
}

// own sets mode and owner, whatever the umask says.
func (s *Spec) own(path string, f File) error {
	err := os.Chmod(path, f.Mode)
	if f.Sidecar && s.UID != os.Getuid() {
		err = errors.Join(err, os.Chown(path, s.UID, s.GID))
	}
	if err != nil {
		return fmt.Errorf("cannot give %s to the sidecars: %w", path, err)
	}
	return nil
}

// RemoveKeys deletes the private keys of a bundle and leaves its certificates.
func RemoveKeys(dir string) error {
	err := os.RemoveAll(filepath.Join(dir, "ca", "roots"))
	for _, f := range []string{"egress/key.pem", "egress/relay.key", "pipelock/key.pem", "pipelock/relay.key"} {
		if e := os.Remove(filepath.Join(dir, "ca", f)); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
