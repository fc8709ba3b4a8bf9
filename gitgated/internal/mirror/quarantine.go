package mirror

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/policy"
)

// Quarantine is an object directory beside a mirror: it sees the mirror's
// objects, and the mirror does not see its. It goes with [Quarantine.Close].
type Quarantine struct {
	mirror *Mirror
	dir    string
	// Bytes is the size of the pack that came in.
	Bytes int64
}

// NewQuarantine makes an empty one.
func (m *Mirror) NewQuarantine() (*Quarantine, error) {
	dir, err := os.MkdirTemp(m.engine.path("quarantine"), "push-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a quarantine: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "objects", "pack"), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make a quarantine: %w", err)
	}
	return &Quarantine{mirror: m, dir: dir}, nil
}

// Close removes the quarantine with all that is in it.
func (q *Quarantine) Close() error { return os.RemoveAll(q.dir) }

// Dir is a place for temporary files that goes with the quarantine.
func (q *Quarantine) Dir() string { return q.dir }

// Packs is the directory of what came in.
func (q *Quarantine) Packs() string { return filepath.Join(q.dir, "objects", "pack") }

func (q *Quarantine) environment() []string {
	return []string{
		"GIT_OBJECT_DIRECTORY=" + filepath.Join(q.dir, "objects"),
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + filepath.Join(q.mirror.dir, "objects"),
	}
}

// Command prepares a git process that sees the mirror and the quarantine.
func (q *Quarantine) Command(ctx context.Context, args ...string) *exec.Cmd {
	return q.mirror.engine.command(ctx, q.mirror.dir, q.environment(), args...)
}

// PackLimits bound a pack.
type PackLimits struct {
	Bytes   int64
	Objects int
}

// Index takes a pack in: git checks its form, each object's form as strictly as
// receive.fsckObjects does, and completes it. The error is a [*sshlink.Fault].
func (q *Quarantine) Index(ctx context.Context, pack io.Reader, limits PackLimits) error {
	in := bufio.NewReaderSize(pack, 64<<10)
	head, err := in.Peek(12)
	switch {
	case err != nil || string(head[:4]) != "PACK" || binary.BigEndian.Uint32(head[4:8]) != 2:
		return badPack("The push holds no pack of version 2.")
	case int64(binary.BigEndian.Uint32(head[8:])) > int64(limits.Objects):
		return &sshlink.Fault{Reason: policy.ReasonPushLimit, Detail: fmt.Sprintf("The push has %d objects, more than the %d that one may have; push in parts.", binary.BigEndian.Uint32(head[8:]), limits.Objects)}
	case binary.BigEndian.Uint32(head[8:]) == 0:
		_, err := io.CopyN(io.Discard, in, 12+20)
		return err // nothing but a header and its checksum
	}
	counted := &counting{r: in, limit: limits.Bytes}
	cmd := q.Command(ctx, "index-pack", "--stdin", "--fix-thin", "--strict", "--threads=2", "--max-input-size="+memory(limits.Bytes))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	complaint := &Tail{Max: 4 << 10}
	cmd.Stderr, cmd.Stdout = complaint, io.Discard
	if err := Start(cmd); err != nil {
		return err
	}
	// git knows where a pack ends; who sends it keeps the connection open, so
	// nobody waits for the copy to end.
	go func() {
		_, _ = io.Copy(stdin, counted)
		_ = stdin.Close()
	}()
	err = cmd.Wait()
	q.Bytes = counted.n.Load()
	switch said := complaint.String(); {
	case q.Bytes > limits.Bytes || strings.Contains(said, "pack exceeds maximum allowed size"):
		return &sshlink.Fault{Reason: policy.ReasonPushLimit, Detail: fmt.Sprintf("The push is larger than the %d MiB that one may be; push in parts.", limits.Bytes>>20)}
	case ctx.Err() != nil:
		return &sshlink.Fault{Reason: policy.ReasonPushLimit, Detail: "The push took more time than one may."}
	case err != nil && (strings.Contains(said, "ut of memory") || strings.Contains(said, "alloc") || strings.Contains(said, "cannot create thread")):
		return &sshlink.Fault{Reason: policy.ReasonPushLimit, Detail: "An object of the push cannot be unpacked within the memory of the gate; large files pass as they are with: git -c core.bigFileThreshold=1m push"}
	case err != nil:
		return badPack("git's checks refuse the objects: " + lastLine(said))
	}
	return nil
}

func badPack(detail string) error {
	return &sshlink.Fault{Reason: policy.ReasonBadPack, Detail: detail}
}

// counting counts what is read and fails past its limit.
type counting struct {
	r     io.Reader
	limit int64
	n     atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.n.Add(int64(n)) > c.limit {
		return 0, errors.New("the pack is too large")
	}
	return n, err
}

// Peeled says what kind of object an id leads to: "commit", "tag", "tree",
// "blob", and for a tag what is behind it.
func (q *Quarantine) Peeled(ctx context.Context, oid string) (kind, behind string, err error) {
	cmd := q.Command(ctx, "cat-file", "--batch-check=%(objecttype)")
	cmd.Stdin = strings.NewReader(oid + "\n" + oid + "^{}\n")
	out, err := output(cmd)
	if err != nil {
		return "", "", err
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != 2 || bytes.HasSuffix(lines[0], []byte(" missing")) || bytes.HasSuffix(lines[1], []byte(" missing")) {
		return "", "", badPack("The push names an object that it does not bring.")
	}
	return string(lines[0]), string(lines[1]), nil
}

// IsAncestor reports whether an update from old to new loses nothing.
func (q *Quarantine) IsAncestor(ctx context.Context, old, new string) (bool, error) {
	_, err := output(q.Command(ctx, "merge-base", "--is-ancestor", old, new))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}
