package workspace

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Put carries out changes: it writes what is new or changed, each file by a
// rename, and removes what is gone. What is barred is refused. Directories are
// made as they are needed.
func Put(changes []Change, tree Tree, stage, host *os.Root) error {
	for _, c := range changes {
		if c.Barred != "" {
			return fmt.Errorf("%s cannot be written: %s", c.Path, c.Barred)
		}
		if err := put(c, tree[c.Path], stage, host); err != nil {
			return fmt.Errorf("cannot write %s: %w", c.Path, err)
		}
	}
	return nil
}

func put(c Change, e Entry, stage, host *os.Root) error {
	if c.What == Gone {
		return host.Remove(c.Path)
	}
	if err := host.MkdirAll(path.Dir(c.Path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	part := path.Join(path.Dir(c.Path), ".bottle-part")
	if err := host.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := write(part, c.Path, e, stage, host); err != nil {
		return errors.Join(err, host.Remove(part))
	}
	return host.Rename(part, c.Path)
}

func write(part, from string, e Entry, stage, host *os.Root) error {
	if e.Kind == Link {
		return host.Symlink(e.Target, part)
	}
	in, err := stage.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := host.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm(e.Exec))
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
