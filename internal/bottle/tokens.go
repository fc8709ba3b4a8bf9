package bottle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// ownerFile names the home that a token directory belongs to.
const ownerFile = ".owner"

// TokenRoot is the directory below which every launch of this user keeps its
// token files: on a file system that lives in memory, so that no token ever
// reaches a disk. An error names the remedy.
func TokenRoot(getenv func(string) string, uid int) (string, error) {
	for _, dir := range []string{getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if dir != "" && filepath.IsAbs(dir) && inMemory(dir) {
			return filepath.Join(dir, "bottle-"+strconv.Itoa(uid)), nil
		}
	}
	return "", errors.New("neither $XDG_RUNTIME_DIR nor /dev/shm is a tmpfs, and tokens are not written to a disk; mount a tmpfs at /dev/shm")
}

// Tokens is the token directory of one launch.
type Tokens struct{ Dir string }

// TokensOf is the token directory of an identity below root.
func TokensOf(root string, id Identity) Tokens { return Tokens{filepath.Join(root, string(id))} }

// Path is the file of one token.
func (t Tokens) Path(name string) string { return filepath.Join(t.Dir, name) }

// Create makes the directory for a launch of home.
func (t Tokens) Create(home Home) error {
	if err := makePrivate(filepath.Dir(t.Dir)); err != nil {
		return err
	}
	if err := os.Mkdir(t.Dir, 0o700); err != nil {
		return fmt.Errorf("cannot create the token directory: %w", err)
	}
	if err := os.WriteFile(t.Path(ownerFile), []byte(home.Dir), 0o600); err != nil {
		return fmt.Errorf("cannot write into the token directory: %w", err)
	}
	return nil
}

// Write stores one token, readable by the sidecar's user alone.
func (t Tokens) Write(name, value string, uid, gid int) error {
	f, err := os.OpenFile(t.Path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return fmt.Errorf("cannot write the token %s: %w", name, err)
	}
	_, werr := f.WriteString(value)
	if uid != os.Getuid() {
		werr = errors.Join(werr, f.Chown(uid, gid))
	}
	if err := errors.Join(werr, f.Close()); err != nil {
		return fmt.Errorf("cannot write the token %s: %w", name, err)
	}
	return nil
}

// Remove deletes the directory with its tokens.
func (t Tokens) Remove() error {
	if t.Dir == "" {
		return nil
	}
	if err := os.RemoveAll(t.Dir); err != nil {
		return fmt.Errorf("cannot remove the tokens in %s: %w", t.Dir, err)
	}
	return nil
}

// TokenOwners lists the identities below root that belong to home.
func TokenOwners(root string, home Home) ([]Identity, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the token directories: %w", err)
	}
	var ids []Identity
	for _, e := range entries {
		id, err := ParseIdentity(e.Name())
		if err != nil {
			continue
		}
		owner, err := os.ReadFile(filepath.Join(root, e.Name(), ownerFile))
		if err == nil && string(owner) == home.Dir {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// makePrivate makes dir, or checks that the one that is there is a directory of
// ours that nobody else can enter: the parent may be writable by everybody.
func makePrivate(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot create %s: %w", dir, err)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", dir, err)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() || fi.Mode().Perm()&0o077 != 0 || !ok || int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a private directory of yours (%s), so tokens do not go there; remove it", dir, fi.Mode())
	}
	return nil
}
