package vm

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// archive writes the format that the kernel unpacks: cpio, "newc". Everything in
// it belongs to root and is dated to the epoch, so that equal files make equal
// archives.
type archive struct {
	w    io.Writer
	n    int64 // bytes written
	ino  int
	dirs map[string]bool
	err  error
}

func newArchive(w io.Writer) *archive { return &archive{w: w, dirs: map[string]bool{".": true}} }

func (a *archive) write(b []byte) {
	if a.err == nil {
		var n int
		n, a.err = a.w.Write(b)
		a.n += int64(n)
	}
}

func (a *archive) pad() {
	if r := a.n % 4; r != 0 {
		a.write(make([]byte, 4-r))
	}
}

func (a *archive) entry(name string, mode uint32, data []byte) {
	a.ino++
	a.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0))
	a.write(append([]byte(name), 0))
	a.pad()
	a.write(data)
	a.pad()
}

// Kinds of files in a mode.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

// dir adds a directory with those above it.
func (a *archive) dir(name string) {
	if a.dirs[name] {
		return
	}
	a.dir(path.Dir(name))
	a.dirs[name] = true
	a.entry(name, modeDir|0o755, nil)
}

// file adds a file.
func (a *archive) file(name string, mode fs.FileMode, data []byte) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	a.dir(path.Dir(name))
	a.entry(name, modeFile|uint32(mode.Perm()), data)
}

// tree adds the files below a directory of the host. Links are refused: what they
// lead to is not the bottle's.
func (a *archive) tree(from, to string) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		name := path.Join(to, filepath.ToSlash(rel))
		if d.IsDir() {
			a.dir(strings.TrimPrefix(path.Clean("/"+name), "/"))
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a directory", file)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if fi, err := d.Info(); err == nil && fi.Mode()&0o100 != 0 {
			mode = 0o755
		}
		a.file(name, mode, data)
		return nil
	})
}

// close ends the archive.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil)
	return a.err
}

// writeInitrd writes the initial file system of a machine.
func writeInitrd(w io.Writer, k *Kit, spec []byte, dir string, sources []string) error {
	a := newArchive(w)
	init, err := os.ReadFile(k.Init)
	if err != nil {
		return err
	}
	for _, d := range []string{"proc", "sys", "dev", "root", "image", "layer"} {
		a.dir(d)
	}
	a.file("init", 0o755, init)
	if err := a.tree(k.Modules, "bottle/modules"); err != nil {
		return err
	}
	a.file("bottle/guest.json", 0o600, spec)
	for _, s := range slices.Compact(slices.Sorted(slices.Values(sources))) {
		if err := a.tree(filepath.Join(dir, s), path.Join("bottle/files", s)); err != nil {
			return err
		}
	}
	return a.close()
}
