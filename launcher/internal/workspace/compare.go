package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// Change is what copying out would do to one path of the host.
type Change struct {
	// What is "new", "changed" or "gone".
	What string `json:"what"`
	Path string `json:"path"`
	Kind Kind   `json:"-"`
	// Risk says why the path should not reach the host unseen, "" when it may.
	Risk string `json:"risk,omitempty"`
	// Barred says why it cannot be written at all.
	Barred string `json:"barred,omitempty"`
}

// What may become of a path.
const (
	New     = "new"
	Changed = "changed"
	Gone    = "gone"
)

// Compare says what the tree in stage would change in host, sorted by path.
// Directories are not listed, nor is what is gone from .git.
func Compare(tree Tree, stage, host *os.Root) ([]Change, error) {
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		e := tree[name]
		if e.Kind == Dir {
			continue
		}
		c, same, err := compareOne(name, e, stage, host)
		if err != nil {
			return nil, err
		}
		if !same {
			c.Barred = bar(tree, name, e, c.Barred)
			c.Risk = risk(tree, c, e)
			changes = append(changes, c)
		}
	}
	gone, err := missing(tree, host)
	changes = append(changes, gone...)
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes, err
}

// compareOne holds one file or link against the host's.
func compareOne(name string, e Entry, stage, host *os.Root) (c Change, same bool, err error) {
	c = Change{What: New, Path: name, Kind: e.Kind}
	fi, err := host.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, false, nil
	case err != nil && escapes(err):
		c.Barred = "on this host, the way there leads through a link out of the directory"
		return c, false, nil
	case err != nil:
		var pathError *fs.PathError
		if errors.As(err, &pathError) { // a file stands where a directory is needed
			c.Barred = "something else stands in its way on this host"
			return c, false, nil
		}
		return c, false, fmt.Errorf("cannot compare %s: %w", name, err)
	}
	c.What = Changed
	switch {
	case fi.Mode()&fs.ModeSymlink != 0 && e.Kind == Link:
		target, err := host.Readlink(name)
		return c, target == e.Target, err
	case !fi.Mode().IsRegular() && e.Kind == File, e.Kind == Link:
		c.Barred = "another kind of thing stands there on this host; remove it first"
		return c, false, nil
	case e.Exec && fi.Mode()&0o111 == 0:
		c.Risk = "it would become a program"
		return c, false, nil
	case fi.Size() != e.Size || e.Exec != (fi.Mode()&0o111 != 0):
		return c, false, nil
	}
	same, err = equal(name, stage, host)
	return c, same, err
}

// escapes reports whether an error of [os.Root] is about a way out of it.
func escapes(err error) bool { return strings.Contains(err.Error(), "escapes from parent") }

func equal(name string, a, b *os.Root) (bool, error) {
	fa, err := a.Open(name)
	if err != nil {
		return false, fmt.Errorf("cannot compare %s: %w", name, err)
	}
	defer fa.Close()
	fb, err := b.Open(name)
	if err != nil {
		return false, fmt.Errorf("cannot compare %s: %w", name, err)
	}
	defer fb.Close()
	var ba, bb [64 << 10]byte
	for {
		na, ea := io.ReadFull(fa, ba[:])
		nb, eb := io.ReadFull(fb, bb[:])
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return false, nil
		}
		if ea != nil || eb != nil {
			return ended(ea) && ended(eb), nil
		}
	}
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// bar says why an entry cannot be written.
func bar(tree Tree, name string, e Entry, already string) string {
	if already != "" || e.Kind != Link {
		return already
	}
	target := path.Join(path.Dir(name), e.Target)
	if path.IsAbs(e.Target) || !fs.ValidPath(target) || !plainName(target) {
		return "it is a link that leads out of the workspace"
	}
	if slices.Contains(strings.Split(target, "/"), "..") || throughLink(tree, target) {
		return "it is a link that leads on through another link"
	}
	return ""
}

// throughLink reports whether a path, or anything above it, is a link in the tree.
func throughLink(tree Tree, name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if tree[name].Kind == Link {
			return true
		}
	}
	return false
}

// risk says why an entry should not reach the host unseen.
func risk(tree Tree, c Change, e Entry) string {
	name := c.Path
	why := Risk(name)
	switch {
	case why != "":
		return why
	case e.Kind == Link && fold(path.Base(name)) == ".git", e.Kind == File && fold(path.Base(name)) == ".git":
		return "it leads git to a repository elsewhere"
	case e.Kind == Link:
		return "it is a link to " + e.Target
	case bare(tree, name):
		return "it belongs to a git repository without a .git of its own, whose configuration git obeys"
	case c.What == New && e.Exec:
		return "it is a program"
	}
	return c.Risk
}

// bare reports whether a path lies in what git takes for a repository: HEAD,
// objects and refs beside each other.
func bare(tree Tree, name string) bool {
	if strings.HasPrefix(name, ".git/") || strings.Contains(name, "/.git/") {
		return false
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if tree[path.Join(dir, "HEAD")].Kind == File && tree[path.Join(dir, "objects")].Kind == Dir && tree[path.Join(dir, "refs")].Kind == Dir {
			return true
		}
		if dir == "." {
			return false
		}
	}
}

// missing are the files of the host that the tree does not have.
func missing(tree Tree, host *os.Root) ([]Change, error) {
	var gone []Change
	err := fs.WalkDir(host.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("cannot compare with this host: %w", err)
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if _, ok := tree[name]; !ok && !d.IsDir() {
			gone = append(gone, Change{What: Gone, Path: name, Kind: File})
		}
		return nil
	})
	return gone, err
}
