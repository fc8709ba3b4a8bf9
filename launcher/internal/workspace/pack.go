package workspace

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// Secrets are values that must not enter a bottle, by name.
type Secrets map[string]string

// Pack writes a directory to w as an archive: directories, files and links, with
// .git. Sockets, devices and pipes are left out and named. It fails at a file
// that holds one of the secrets, or that changes while it is read.
func Pack(dir string, secrets Secrets, w io.Writer) ([]Left, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the workspace: %w", err)
	}
	defer root.Close()
	p := &packer{root: root, out: tar.NewWriter(w), secrets: secrets}
	if err := fs.WalkDir(root.FS(), ".", p.entry); err != nil {
		return p.left, err
	}
	return p.left, p.out.Close()
}

type packer struct {
	root    *os.Root
	out     *tar.Writer
	secrets Secrets
	left    []Left
	files   int
	bytes   int64
}

// entry takes one name up. WalkDir does not follow links.
func (p *packer) entry(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return fmt.Errorf("cannot read the workspace: %w", err)
	}
	if path == "." {
		return nil
	}
	if p.files++; p.files > MaxFiles {
		return fmt.Errorf("the workspace has more than %d files; copy a part of it", MaxFiles)
	}
	switch d.Type() {
	case 0:
		return p.file(path)
	case fs.ModeDir:
		return p.out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: 0o755, Format: tar.FormatPAX})
	case fs.ModeSymlink:
		target, err := p.root.Readlink(path)
		if err != nil {
			return fmt.Errorf("cannot read the workspace: %w", err)
		}
		return p.out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777, Format: tar.FormatPAX})
	}
	p.left = append(p.left, Left{path, "neither a file, nor a directory, nor a link"})
	return nil
}

func (p *packer) file(path string) error {
	f, err := p.root.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read the workspace: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return fmt.Errorf("%s changed while it was read: %w", path, errors.Join(err, errChanged))
	}
	if p.bytes += fi.Size(); p.bytes > MaxBytes {
		return fmt.Errorf("the workspace is larger than %d GiB; copy a part of it", MaxBytes>>30)
	}
	if isGitConfig(path) {
		if err := checkGitConfig(path, f); err != nil {
			return err
		}
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: path, Size: fi.Size(), Mode: int64(perm(fi.Mode()&0o111 != 0)), ModTime: fi.ModTime(), Format: tar.FormatPAX}
	if err := p.out.WriteHeader(h); err != nil {
		return err
	}
	guard := newSieve(p.out, p.secrets)
	n, err := io.Copy(guard, io.LimitReader(f, fi.Size()))
	var found *foundError
	switch {
	case errors.As(err, &found):
		return fmt.Errorf("%s holds the value of %s, which must not enter the bottle; remove it there, or copy another directory", path, found.name)
	case err != nil:
		return fmt.Errorf("cannot copy %s: %w", path, err)
	case n != fi.Size():
		return fmt.Errorf("%s changed while it was read: %w", path, errChanged)
	}
	return nil
}

var errChanged = errors.New("start again when nothing writes to the workspace")

// isGitConfig reports whether a path is git's own configuration of a repository.
func isGitConfig(path string) bool {
	return strings.HasSuffix("/"+path, "/.git/config") || strings.Contains("/"+path, "/.git/modules/") && strings.HasSuffix(path, "/config")
}

// gitCredential is a password in a URL, a header of one, or a helper's answer.
var gitCredential = regexp.MustCompile(`(?i)://[^/\s@:"]*:[^/\s@"]+@|extraheader\s*=\s*"?(authorization|cookie|private-token)|^\s*password\s*=`)

// maxGitConfig bounds a configuration that is looked through.
const maxGitConfig = 4 << 20

func checkGitConfig(path string, f io.ReadSeeker) error {
	text, err := io.ReadAll(io.LimitReader(f, maxGitConfig))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		if gitCredential.Match(line) {
			return fmt.Errorf("%s:%d: a credential stands here, which must not enter the bottle; take it out (git remote set-url), and declare the remote under git: in the bottle's manifest", path, i+1)
		}
	}
	return nil
}
