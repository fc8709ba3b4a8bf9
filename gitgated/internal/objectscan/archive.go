package objectscan

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// Bounds of what is unpacked of one blob.
const (
	maxDepth    = 5
	maxExpanded = 2 << 30
	maxEntries  = 100_000
)

// kind is a format of archive.
type kind int

const (
	notArchive kind = iota
	zipKind
	gzipKind
	bzip2Kind
	tarKind
)

// archiveHead is how many bytes tell an archive.
const archiveHead = 262

func archiveKind(head []byte) kind {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return zipKind
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return gzipKind
	case len(head) > 9 && bytes.HasPrefix(head, []byte("BZh")) && string(head[4:10]) == "1AY&SY":
		return bzip2Kind
	case len(head) >= archiveHead && string(head[257:262]) == "ustar":
		return tarKind
	}
	return notArchive
}

// hasZipEnd reports whether a zip's end stands at the end of data, as behind the
// program of an archive that unpacks itself.
func hasZipEnd(data []byte) bool {
	return bytes.Contains(data[max(0, len(data)-(64<<10)-22):], []byte("PK\x05\x06"))
}

// blob scans a file's contents, and what is packed in it.
func (s *Scan) blob(base Finding, data []byte) []Finding {
	out := placed(base, data, find(data))
	u := &unpacking{base: base, left: maxExpanded, entries: maxEntries}
	switch k := archiveKind(data); {
	case k == zipKind:
		u.zip(base.Path, bytes.NewReader(data), int64(len(data)), 1, false)
	case k != notArchive:
		u.stream(base.Path, k, bytes.NewReader(data), 1)
	case hasZipEnd(data):
		u.zip(base.Path, bytes.NewReader(data), int64(len(data)), 1, true)
	}
	return append(out, u.found...)
}

// largeArchive scans an archive that is not held in memory.
func (r *reader) largeArchive(base Finding, k kind, in io.Reader) error {
	f, err := os.CreateTemp(r.scan.Dir, "archive-")
	if err != nil {
		return fmt.Errorf("cannot unpack an archive: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	found, err := findInStream(base, io.TeeReader(in, f))
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, in); err != nil { // what follows a finding
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	u := &unpacking{base: base, left: maxExpanded, entries: maxEntries}
	if k == zipKind {
		u.zip(base.Path, f, size, 1, false)
	} else {
		u.stream(base.Path, k, io.NewSectionReader(f, 0, size), 1)
	}
	return r.scan.report(append(found, u.found...)...)
}

// unpacking is the opening of one blob.
type unpacking struct {
	base    Finding
	left    int64 // bytes that may still be unpacked
	entries int   // and files
	found   []Finding
}

// fail records what cannot be cleared, once for each rule.
func (u *unpacking) fail(path, rule string) {
	for _, f := range u.found {
		if f.Rule == rule {
			return
		}
	}
	f := u.base
	f.Path, f.Rule, f.Line = printable(path), rule, 0
	u.found = append(u.found, f)
}

var errBudget = errors.New("more is packed than is unpacked here")

// metered is a reader on the budget of an unpacking.
type metered struct {
	u *unpacking
	r io.Reader
}

func (m metered) Read(p []byte) (int, error) {
	if m.u.left <= 0 {
		return 0, errBudget
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.u.left)])
	m.u.left -= int64(n)
	return n, err
}

// done records why reading ended early.
func (u *unpacking) done(path string, err error) {
	switch {
	case err == nil || err == io.EOF:
	case errors.Is(err, errBudget):
		u.fail(path, RuleArchiveLarge)
	default:
		u.fail(path, RuleArchiveBroken)
	}
}

// stream unpacks what can be read from front to back.
func (u *unpacking) stream(path string, k kind, in io.Reader, depth int) {
	if depth > maxDepth {
		u.fail(path, RuleArchiveDeep)
		return
	}
	switch k {
	case gzipKind:
		z, err := gzip.NewReader(in)
		if err != nil {
			u.done(path, err)
			return
		}
		u.file(path, metered{u, z}, depth+1)
	case bzip2Kind:
		u.file(path, metered{u, bzip2.NewReader(in)}, depth+1)
	case tarKind:
		u.tar(path, in, depth)
	}
}

func (u *unpacking) tar(path string, in io.Reader, depth int) {
	t := tar.NewReader(in)
	for {
		h, err := t.Next()
		if err != nil {
			u.done(path, err)
			return
		}
		if u.entries--; u.entries < 0 {
			u.fail(path, RuleArchiveLarge)
			return
		}
		u.name(path, h.Name+"\n"+h.Linkname)
		u.file(path+"!"+h.Name, metered{u, t}, depth+1)
	}
}

// zip unpacks a zip. Maybe says that it is one by its end only.
func (u *unpacking) zip(path string, in io.ReaderAt, size int64, depth int, maybe bool) {
	if depth > maxDepth {
		u.fail(path, RuleArchiveDeep)
		return
	}
	z, err := zip.NewReader(in, size)
	if err != nil {
		if !maybe {
			u.fail(path, RuleArchiveBroken)
		}
		return
	}
	u.name(path, z.Comment)
	for _, f := range z.File {
		if u.entries--; u.entries < 0 {
			u.fail(path, RuleArchiveLarge)
			return
		}
		u.name(path, f.Name+"\n"+f.Comment)
		if f.Flags&1 != 0 {
			u.fail(path+"!"+f.Name, RuleArchiveEncrypted)
			continue
		}
		r, err := f.Open()
		if err != nil {
			u.done(path+"!"+f.Name, err)
			continue
		}
		u.file(path+"!"+f.Name, metered{u, r}, depth+1)
		_ = r.Close() // its checksum was judged with the last read
	}
}

// name scans the name of a packed file.
func (u *unpacking) name(path, text string) {
	base := u.base
	base.Path = printable(path)
	u.found = append(u.found, named(base, find([]byte(text)))...)
}

// file scans one packed file, and opens it if it is an archive itself.
func (u *unpacking) file(path string, in io.Reader, depth int) {
	if len(u.found) >= maxPerObject {
		return
	}
	base := u.base
	base.Path = printable(path)
	stream := bufio.NewReaderSize(in, 4<<10)
	head, _ := stream.Peek(archiveHead)
	k := archiveKind(head)
	if k == notArchive || k == zipKind {
		data, err := io.ReadAll(io.LimitReader(stream, wholeBytes+1))
		u.found = append(u.found, placed(base, data, find(data))...)
		switch {
		case err != nil:
			u.done(path, err)
		case len(data) <= wholeBytes && k == zipKind:
			u.zip(path, bytes.NewReader(data), int64(len(data)), depth, false)
		case k == zipKind:
			u.fail(path, RuleArchiveDeep) // it would have to be held in memory
		case len(data) > wholeBytes:
			// The end of what was read is looked at again, so that nothing hides
			// across the cut.
			rest := io.MultiReader(bytes.NewReader(data[wholeBytes-cut:]), stream)
			found, err := findInStream(base, rest)
			u.found = append(u.found, found...)
			u.done(path, err)
		}
		return
	}
	raw := &tap{r: stream}
	u.stream(path, k, raw, depth)
	u.found = append(u.found, placed(base, raw.seen, find(raw.seen))...)
}

// cut is longer than any secret.
const cut = 8 << 10

// tap keeps the beginning of what is read through it.
type tap struct {
	r    io.Reader
	seen []byte
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if len(t.seen) < 64<<10 {
		t.seen = append(t.seen, p[:n]...)
	}
	return n, err
}
