package workspace

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Unpack takes to pieces what lies below prefix in an archive that the agent has
// made in effect: files go into the empty directory stage, links are only noted.
// Names that are odd, and what is no file, directory or link, are left out.
func Unpack(r io.Reader, prefix string, stage *os.Root) (Tree, []Left, error) {
	u := &unpacker{stage: stage, tree: Tree{".": {Kind: Dir}}, prefix: prefix}
	in := tar.NewReader(r)
	for entries := 0; ; entries++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			delete(u.tree, ".")
			return u.tree, u.left, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("the bottle's workspace cannot be read: %w", err)
		}
		if entries > MaxFiles {
			return nil, nil, fmt.Errorf("the bottle's workspace has more than %d files", MaxFiles)
		}
		if err := u.entry(h, in); err != nil {
			return nil, nil, err
		}
	}
}

type unpacker struct {
	stage  *os.Root
	tree   Tree
	left   []Left
	prefix string
	bytes  int64
}

func (u *unpacker) leave(name, why string) { u.left = append(u.left, Left{name, why}) }

// within is the path below the prefix, "" for what lies elsewhere.
func (u *unpacker) within(name string) string {
	rest, ok := strings.CutPrefix(path.Clean(name), u.prefix+"/")
	if !ok {
		return ""
	}
	return rest
}

func (u *unpacker) entry(h *tar.Header, in io.Reader) error {
	name := u.within(h.Name)
	if name == "" {
		return nil // the directory itself, or something beside it
	}
	_, twice := u.tree[name]
	parent, ok := u.tree[path.Dir(name)]
	switch {
	case !plainName(name):
		u.leave(name, "its name holds control characters or a backslash, or is not local")
	case twice:
		u.leave(name, "it stands in the archive twice")
	case !ok || parent.Kind != Dir:
		u.leave(name, "it lies in no directory of the workspace")
	case sparse(h):
		u.leave(name, "it is a file with holes, which no engine packs")
	case h.Typeflag == tar.TypeDir:
		if err := u.stage.Mkdir(name, 0o700); err != nil {
			return fmt.Errorf("cannot lay out the workspace: %w", err)
		}
		u.tree[name] = Entry{Kind: Dir}
	case h.Typeflag == tar.TypeReg:
		return u.file(name, h, in)
	case h.Typeflag == tar.TypeSymlink:
		u.tree[name] = Entry{Kind: Link, Target: h.Linkname}
	case h.Typeflag == tar.TypeLink:
		return u.again(name, h)
	default:
		u.leave(name, "it is neither a file, nor a directory, nor a link")
	}
	return nil
}

// sparse reports whether a file could be far larger than its archive.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// plainName reports whether a name means the same to every file system and
// terminal.
func plainName(name string) bool {
	return fs.ValidPath(name) && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' })
}

func (u *unpacker) file(name string, h *tar.Header, in io.Reader) error {
	if u.bytes += h.Size; u.bytes > MaxBytes {
		return fmt.Errorf("the bottle's workspace is larger than %d GiB", MaxBytes>>30)
	}
	f, err := u.stage.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot lay out the workspace: %w", err)
	}
	_, err = io.Copy(f, in)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot lay out the workspace: %w", err)
	}
	u.tree[name] = Entry{Kind: File, Size: h.Size, Exec: h.Mode&0o111 != 0}
	return nil
}

// again is a second name of a file that came before; it becomes a file of its own.
func (u *unpacker) again(name string, h *tar.Header) error {
	from := u.within(h.Linkname)
	first, ok := u.tree[from]
	if !ok || first.Kind != File {
		u.leave(name, "it is a hard link to something that is not in the workspace")
		return nil
	}
	f, err := u.stage.Open(from)
	if err != nil {
		return fmt.Errorf("cannot lay out the workspace: %w", err)
	}
	defer f.Close()
	return u.file(name, &tar.Header{Size: first.Size, Mode: int64(perm(first.Exec))}, f)
}
