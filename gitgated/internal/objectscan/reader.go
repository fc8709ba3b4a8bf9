package objectscan

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// wholeBytes is the size up to which an object is read into memory as a whole;
// a larger one passes through a window.
const wholeBytes = 4 << 20

// reader reads objects through a git cat-file of its own, which it starts when
// the first one is needed.
type reader struct {
	scan *Scan
	cmd  *exec.Cmd
	ask  io.WriteCloser
	in   *bufio.Reader
	buf  []byte
}

func (r *reader) start(ctx context.Context) (err error) {
	r.cmd = r.scan.Command(ctx, "cat-file", "--batch-command", "--buffer")
	if r.ask, err = r.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.scan.Start(r.cmd); err != nil {
		return err
	}
	r.in = bufio.NewReaderSize(out, 256<<10)
	return nil
}

// stop ends git, at once if there was an error.
func (r *reader) stop(err error) error {
	if r.in == nil {
		return err
	}
	_ = r.ask.Close()
	if err != nil {
		_ = r.cmd.Cancel()
		_ = r.cmd.Wait()
		return err
	}
	return r.cmd.Wait()
}

// all reads and scans a batch of objects.
func (r *reader) all(ctx context.Context, batch []entry) error {
	if len(batch) == 0 {
		return nil
	}
	if r.in == nil {
		if err := r.start(ctx); err != nil {
			return err
		}
	}
	var question bytes.Buffer
	for _, e := range batch {
		question.WriteString("contents " + e.oid + "\n")
	}
	question.WriteString("flush\n")
	if _, err := r.ask.Write(question.Bytes()); err != nil {
		return fmt.Errorf("git cat-file ended: %w", err)
	}
	for _, e := range batch {
		if err := r.object(ctx, e); err != nil {
			return err
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
	base, err := r.scan.take(e, f[1], size)
	if err != nil {
		return err
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
	return r.scan.whole(base, data)
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
