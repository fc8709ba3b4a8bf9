package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
func (s *Spec) directories(files []File) []File {
	dirs := []File{
		{Path: "config", Mode: 0o700, Sidecar: true}, {Path: "ca", Mode: 0o700}, {Path: "audit", Mode: 0o700},
		{Path: "ca/agent", Mode: 0o755}, {Path: "clients", Mode: 0o755}, {Path: "skills", Mode: 0o755},
		{Path: "ca/pipelock", Mode: 0o700, Sidecar: true}, {Path: "audit/pipelock", Mode: 0o700, Sidecar: true},
	}
	if s.routes() {
		dirs = append(dirs, File{Path: "ca/egress", Mode: 0o700, Sidecar: true}, File{Path: "audit/egress", Mode: 0o700, Sidecar: true})
	}
	if s.Machine {
		dirs = append(dirs, File{Path: "config/gateway", Mode: 0o700, Sidecar: true}, File{Path: NetDir, Mode: 0o700, Sidecar: true},
			File{Path: "audit/gateway", Mode: 0o700, Sidecar: true})
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Path, "clients/") && !strings.HasPrefix(f.Path, "skills/") {
			continue
		}
		for dir := filepath.Dir(f.Path); strings.Contains(dir, "/"); dir = filepath.Dir(dir) {
			dirs = append(dirs, File{Path: dir, Mode: 0o755})
		}
	}
	if s.git() {
		dirs = append(dirs, File{Path: "ca/git-gate", Mode: 0o700, Sidecar: true}, File{Path: "audit/git-gate", Mode: 0o700, Sidecar: true},
			File{Path: "mirrors", Mode: 0o700, Sidecar: true})
	}
	if s.Bottle.Supervise {
		dirs = append(dirs,
			File{Path: "queue", Mode: 0o700}, File{Path: "policy", Mode: 0o700}, File{Path: "audit/launcher", Mode: 0o700},
			File{Path: "queue/proposals", Mode: 0o700, Sidecar: true}, File{Path: "audit/supervise", Mode: 0o700, Sidecar: true},
			File{Path: "queue/decisions", Mode: 0o755}) // the operator's; superviserd reads it
	}
	return dirs
}

// Write writes files below dir, which must exist, and replaces those that are
// there.
func (s *Spec) Write(dir string, files []File) error {
	if err := os.RemoveAll(filepath.Join(dir, "skills")); err != nil { // of a launch before
		return fmt.Errorf("cannot replace the skills: %w", err)
	}
	for _, d := range s.directories(files) {
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

// RemoveMirrors deletes the copies of upstream repositories, which a later launch
// makes anew.
func RemoveMirrors(dir string) error { return os.RemoveAll(filepath.Join(dir, "mirrors")) }

// RemoveKeys deletes the private keys of a bundle and leaves its certificates.
func RemoveKeys(dir string) error {
	err := os.RemoveAll(filepath.Join(dir, "ca", "roots"))
	for _, pattern := range []string{"*/key*.pem", "*/relay.key", "pipelock/known.*"} { // approvals bring keys of their own
		found, e := filepath.Glob(filepath.Join(dir, "ca", pattern))
		err = errors.Join(err, e)
		for _, f := range found {
			if e := os.Remove(f); e != nil && !errors.Is(e, os.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}
	return err
}
