// Package audit writes the record of decisions: JSON lines, one a decision,
// each carrying the SHA-256 of the line before it, so that a changed or missing
// line shows. A line that cannot be written is an error, and the caller denies
// the request: a full disk stops traffic instead of losing its record.
//
// Entries hold names, never secret values; callers mask findings.
package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
)

// Entry is one decision. Open's component and bottle, the time and the link to
// the previous line are added when it is written.
type Entry struct {
	// Event is "begin" (a request is about to be sent on), "request" (one has
	// ended, or was refused), "connect", "tls", "dns", "start", "reload",
	// "stop" or "folded"; gitgated and the launcher have more (docs/audit.md).
	Event     string
	Decision  policy.Verdict
	Reason    policy.Reason
	Rule      string
	Detail    string
	Method    string
	Host      string
	Path      string
	Status    int
	BytesIn   int64 // from the agent's side
	BytesOut  int64 // towards it
	Duration  time.Duration
	RequestID string
}

// Line is an entry as it stands in the file.
type Line struct {
	Time      string         `json:"ts"`
	Bottle    string         `json:"bottle"`
	Component string         `json:"component"`
	Event     string         `json:"event"`
	Decision  policy.Verdict `json:"decision,omitempty"`
	Reason    policy.Reason  `json:"reason,omitempty"`
	Rule      string         `json:"rule,omitempty"`
	Detail    string         `json:"detail,omitempty"`
	Method    string         `json:"method,omitempty"`
	Host      string         `json:"host,omitempty"`
	Path      string         `json:"path,omitempty"`
	Status    int            `json:"status,omitempty"`
	BytesIn   int64          `json:"bytes_in"`
	BytesOut  int64          `json:"bytes_out"`
	Duration  int64          `json:"duration_us"`
	RequestID string         `json:"request_id,omitempty"`
	Prev      string         `json:"prev"`
}

// Genesis is the prev of a file's first line.
var Genesis = strings.Repeat("0", 2*sha256.Size)

// Bounds of what an agent can make a line hold; longer values are cut.
const (
	maxField = 512
	maxLine  = 64 << 10
)

// Log appends to one audit file. It is safe for concurrent use.
type Log struct {
	component, bottle string

	mu       sync.Mutex
	file     *os.File
	size     int64
	rotation Rotation
	path     string
	// moved says that the open file has been renamed, and that its successor
	// could not be made yet.
	moved bool
	prev  string
	// waiting holds lines that could not be written yet, folded counts denials
	// that will not be.
	waiting []Line
	folded  uint64
	denials bucket
	// torn says that the last write may have left half a line.
	torn bool
	buf  bytes.Buffer
}

// Open opens or creates an audit file and continues its chain. A half-written
// last line, as a crash or a full disk leaves it, is closed with a line end
// and stays visible. The file grows without bound; see [OpenRotating].
func Open(file, component, bottle string) (*Log, error) {
	return OpenRotating(file, component, bottle, Rotation{})
}

// OpenRotating is [Open] for a file that is set aside when it is full.
func OpenRotating(file, component, bottle string, rotation Rotation) (*Log, error) {
	f, err := openActive(file)
	if err != nil {
		return nil, err
	}
	prev, torn, err := lastHash(f)
	if err == nil && prev == Genesis {
		prev, err = lastOfSegments(file)
	}
	size, sizeErr := f.Seek(0, io.SeekEnd)
	if err = errors.Join(err, sizeErr); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot continue the audit log %s: %w", file, err)
	}
	return &Log{
		component: component, bottle: bottle, file: f, size: size, rotation: rotation, path: file,
		prev: prev, torn: torn,
	}, nil
}

func openActive(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the audit log: %w", err)
	}
	return f, nil
}

// lastHash returns the hash of the file's last line.
func lastHash(f *os.File) (prev string, torn bool, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return Genesis, false, err
	}
	tail := make([]byte, min(size, 2*maxLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return "", false, err
	}
	torn = tail[len(tail)-1] != '\n'
	tail = bytes.TrimSuffix(tail, []byte("\n"))
	if i := bytes.LastIndexByte(tail, '\n'); i >= 0 {
		tail = tail[i+1:]
	} else if int64(len(tail)) < size-1 {
		return "", false, errors.New("its last line is longer than any that is written here")
	}
	return hash(tail), torn, nil
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// maxWaiting bounds the lines that are kept while the file cannot be written.
// Requests are denied meanwhile, so only those in flight add to them; denials
// past the bound are counted.
const maxWaiting = 4096

// Write appends an entry. When the file cannot be written the line is kept and
// an error returned; a later call writes it. Denials past a rate that no honest
// client keeps up are counted instead, and the count is written as one line:
// otherwise whoever is denied could fill the disk.
func (l *Log) Write(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Decision == policy.Deny && !l.denials.take(time.Now()) || len(l.waiting) >= maxWaiting {
		l.folded++
		return nil
	}
	l.fold()
	l.waiting = append(l.waiting, l.line(e))
	return l.flush()
}

// Require records what is about to happen. It returns an error when that, or
// anything before it, could not be written: then it must not happen.
func (l *Log) Require(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fold()
	if err := l.flush(); err != nil {
		return err
	}
	return l.append(l.line(e))
}

// fold turns the count of unwritten denials into a line.
func (l *Log) fold() {
	if l.folded == 0 || len(l.waiting) >= maxWaiting {
		return
	}
	l.waiting = append(l.waiting, l.line(Entry{
		Event: "folded", Decision: policy.Deny,
		Detail: strconv.FormatUint(l.folded, 10) + " denials came too fast to be written one by one",
	}))
	l.folded = 0
}

func (l *Log) line(e Entry) Line {
	return Line{
		Time:   time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"),
		Bottle: l.bottle, Component: l.component,
		Event: e.Event, Decision: e.Decision, Reason: e.Reason, Rule: e.Rule,
		Detail: clip(e.Detail), Method: clip(e.Method), Host: clip(e.Host), Path: clip(e.Path),
		Status: e.Status, BytesIn: e.BytesIn, BytesOut: e.BytesOut,
		Duration: e.Duration.Microseconds(), RequestID: e.RequestID,
	}
}

// flush writes the waiting lines in order.
func (l *Log) flush() error {
	for i := range l.waiting {
		if err := l.append(l.waiting[i]); err != nil {
			l.waiting = slices.Delete(l.waiting, 0, i)
			return err
		}
	}
	l.waiting = l.waiting[:0]
	return nil
}

// append writes one line at the end of the chain.
func (l *Log) append(line Line) error {
	if err := l.makeRoom(); err != nil {
		return err
	}
	line.Prev = l.prev
	l.buf.Reset()
	if l.torn {
		l.buf.WriteByte('\n')
	}
	start := l.buf.Len()
	enc := json.NewEncoder(&l.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(line); err != nil {
		return fmt.Errorf("cannot encode an audit line: %w", err)
	}
	n, err := l.file.Write(l.buf.Bytes())
	l.size += int64(n)
	if err != nil {
		if n > start { // the chain goes on from what stands in the file
			l.torn, l.prev = true, hash(l.buf.Bytes()[start:n])
		} else if n > 0 {
			l.torn = false // just the line end that closed an earlier half line
		}
		return fmt.Errorf("cannot write the audit log: %w", err)
	}
	l.torn = false
	l.prev = hash(bytes.TrimSuffix(l.buf.Bytes()[start:], []byte("\n")))
	return nil
}

// Close writes what is left to write and closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fold()
	return errors.Join(l.flush(), l.file.Close())
}

func clip(s string) string {
	if len(s) > maxField {
		return s[:maxField] + "…"
	}
	return s
}

// NewRequestID returns 16 lower-case base32 digits (80 random bits).
func NewRequestID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}
