package objectscan

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// wholeBytes is the size up to which an object is read into memory as a whole;
// a larger one passes through a window.
const wholeBytes = 4 << 20

// reader reads the answers of one cat-file.
type reader struct {
	scan *Scan
	in   *bufio.Reader
	buf  []byte
	// names is scratch for the names of a tree.
	names []byte
}

func (r *reader) all(ctx context.Context, ask io.Writer, batches <-chan []entry) error {
	var question bytes.Buffer
	for batch := range batches {
		question.Reset()
		for _, e := range batch {
			question.WriteString("contents " + e.oid + "\n")
		}
		question.WriteString("flush\n")
		if _, err := ask.Write(question.Bytes()); err != nil {
			return fmt.Errorf("git cat-file ended: %w", err)
		}
		for _, e := range batch {
			if err := r.object(ctx, e); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// object reads and scans one object: "<oid> <kind> <size>", contents, line end.
func (r *reader) object(ctx context.Context, e entry) error {
	head, err := r.in.ReadString('\n')
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("git cat-file ended: %w", err)
	}
	f := strings.Fields(head)
	if len(f) != 3 || f[0] != e.oid {
		return fmt.Errorf("%w: git does not have %s", ErrMissing, e.oid)
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git cat-file said %q", head)
	}
	if size > r.scan.MaxObject {
		return fmt.Errorf("%w: %s has %d bytes", ErrLarge, strings.TrimSpace(e.path+" "+e.oid), size)
	}
	r.scan.Objects.Add(1)
	r.scan.Bytes.Add(size)
	base := Finding{Object: e.oid, Kind: f[1], Path: printable(e.path), Commit: e.commit}
	if f[1] == "commit" || f[1] == "tag" {
		base.Path = ""
	}
	if err := r.contents(base, size); err != nil {
		return err
	}
	_, err = r.in.Discard(1)
	return err
}

func (r *reader) contents(base Finding, size int64) error {
	if size > wholeBytes {
		return r.large(base, io.LimitReader(r.in, size))
	}
	if int64(cap(r.buf)) < size {
		r.buf = make([]byte, max(size, 64<<10))
	}
	data := r.buf[:size]
	if _, err := io.ReadFull(r.in, data); err != nil {
		return fmt.Errorf("git cat-file ended: %w", err)
	}
	if base.Kind == "tree" {
		data = r.treeNames(data)
		return r.scan.report(named(base, find(data))...)
	}
	if base.Kind != "blob" {
		return r.scan.report(placed(base, data, find(data))...)
	}
	return r.scan.report(r.scan.blob(base, data)...)
}

// treeNames are the names of a tree's entries, one a line; the raw ids beside
// them would look like anything.
func (r *reader) treeNames(data []byte) []byte {
	r.names = r.names[:0]
	for len(data) > 0 {
		space, end := bytes.IndexByte(data, ' '), bytes.IndexByte(data, 0)
		if space < 0 || end < space || len(data) < end+21 {
			break // git's checks have refused such a tree before
		}
		r.names = append(append(r.names, data[space+1:end]...), '\n')
		data = data[end+21:]
	}
	return r.names
}

// large scans a blob that is not held in memory. An archive is written to a file
// meanwhile, to be opened.
func (r *reader) large(base Finding, in io.Reader) error {
	stream := bufio.NewReaderSize(in, 64<<10)
	head, _ := stream.Peek(archiveHead)
	if kind := archiveKind(head); kind != notArchive {
		return r.largeArchive(base, kind, stream)
	}
	found, err := findInStream(base, stream)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stream)
	if err != nil {
		return err
	}
	return r.scan.report(found...)
}

// printable keeps a path from moving the cursor of whoever reads the report.
func printable(s string) string {
	clean := strings.Map(func(c rune) rune {
		if !strconv.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
	if len(clean) > 300 {
		clean = "…" + strings.ToValidUTF8(clean[len(clean)-300:], "?")
	}
	return clean
}
