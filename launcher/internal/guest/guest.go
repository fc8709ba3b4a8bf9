// Package guest is what the launcher and the init of a virtual machine say to
// each other. Init prints one line when the machine is ready or has failed; from
// then on the two speak yamux over the same serial port, one stream a command:
// a request, then frames of its input, output, signals and end.
//
// The guest is hostile: everything here that reads is bounded, and what a guest
// says of a command is shown to the operator, never acted on.
package guest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/yamux"
)

// Port is the name of the serial port.
const Port = "bottle.exec"

// Version is that of everything in this package.
const Version = 2

// Request is the beginning of a stream.
type Request struct {
	// Argv is the command; without one the machine is switched off.
	Argv []string `json:"argv,omitempty"`
	// User is a name of the machine's own, "" for the machine's usual one.
	User     string   `json:"user,omitempty"`
	Terminal *Size    `json:"terminal,omitempty"`
	Env      []string `json:"env,omitempty"`
	// Card gives the command the machine's network card, as descriptor
	// [CardFD]: what whoever takes over the machine's kernel would have.
	Card bool `json:"card,omitempty"`
	// Now is the launcher's clock, which the machine follows.
	Now time.Time `json:"now"`
}

// CardFD is the descriptor of the card: a packet socket that is bound to it.
const CardFD = 3

// Size is the size of a terminal.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// Kind says what is in a frame.
type Kind byte

// Kinds of frames. Those up to KindResize go to the guest.
const (
	KindInput    Kind = iota // data
	KindInputEnd             // nothing
	KindSignal               // one byte, its number
	KindResize               // rows and columns, two bytes each
	KindOutput               // data
	KindError                // data
	KindExit                 // four bytes, the status
	KindFailed               // text: the command could not be started
)

// Bounds of what is read.
const (
	MaxFrame   = 64 << 10
	maxRequest = 256 << 10
	maxBanner  = 1024
)

// WriteRequest begins a stream.
func WriteRequest(w io.Writer, r Request) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(data) > maxRequest {
		return errors.New("the command is too long")
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}

// ReadRequest reads the beginning of a stream.
func ReadRequest(r io.Reader) (Request, error) {
	var req Request
	data, err := block(r, maxRequest)
	if err != nil {
		return req, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return req, d.Decode(&req)
}

func block(r io.Reader, limit uint32) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > limit {
		return nil, fmt.Errorf("a block of %d bytes is longer than the %d that are read", n, limit)
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return data, err
}

// WriteFrame writes one frame. Data is at most MaxFrame long.
func WriteFrame(w io.Writer, k Kind, data []byte) error {
	out := append(make([]byte, 0, 5+len(data)), byte(k))
	out = append(binary.BigEndian.AppendUint32(out, uint32(len(data))), data...)
	_, err := w.Write(out)
	return err
}

// ReadFrame reads one frame.
func ReadFrame(r io.Reader) (Kind, []byte, error) {
	var k [1]byte
	if _, err := io.ReadFull(r, k[:]); err != nil {
		return 0, nil, err
	}
	data, err := block(r, MaxFrame)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return Kind(k[0]), data, err
}

// framed writes what it is given as frames of one kind.
type framed struct {
	w    io.Writer
	kind Kind
}

// Framed returns a writer whose bytes become frames. Each frame is one write to w,
// which must be safe for several writers, as a stream of yamux is.
func Framed(w io.Writer, k Kind) io.Writer { return framed{w, k} }

// Write implements [io.Writer].
func (f framed) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part := p[:min(len(p), MaxFrame)]
		if err := WriteFrame(f.w, f.kind, part); err != nil {
			return n, err
		}
		n, p = n+len(part), p[len(part):]
	}
	return n, nil
}

// banner is how the line begins that init prints.
const banner = "bottle-guest "

// WriteBanner says that the machine is ready, or why it is not.
func WriteBanner(w io.Writer, failure error) error {
	what := "ready"
	if failure != nil {
		what = "failed: " + strings.ReplaceAll(failure.Error(), "\n", " ")
		what = what[:min(len(what), maxBanner/2)]
	}
	_, err := fmt.Fprintf(w, "%s%d %s\n", banner, Version, what)
	return err
}

// ReadBanner waits for the machine. It reads not a byte more than the line.
func ReadBanner(r io.Reader) error {
	var line []byte
	var b [1]byte
	for len(line) < maxBanner {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return fmt.Errorf("the machine ended before it was ready: %w", err)
		}
		if b[0] == '\n' {
			return judgeBanner(string(line))
		}
		line = append(line, b[0])
	}
	return errors.New("the machine says more than that it is ready")
}

func judgeBanner(line string) error {
	var version int
	rest, ok := strings.CutPrefix(line, banner)
	number, what, _ := strings.Cut(rest, " ")
	if _, err := fmt.Sscanf(number, "%d", &version); err != nil || !ok {
		return fmt.Errorf("the machine says %q, which is not what a guest says", clip(line))
	}
	if version != Version {
		return fmt.Errorf("the machine's init speaks version %d, the launcher %d; run `make guest` again", version, Version)
	}
	if what != "ready" {
		return fmt.Errorf("the machine did not start: %q", clip(what))
	}
	return nil
}

func clip(s string) string { return s[:min(len(s), 300)] }

// Mux is how both sides share the port.
func Mux() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	c.ConnectionWriteTimeout = time.Minute // an emulated machine may be slow
	c.StreamOpenTimeout = time.Minute
	c.StreamCloseTimeout = time.Minute
	return c
}
