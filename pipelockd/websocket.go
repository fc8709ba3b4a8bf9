package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

// frameConn is the client's side of a WebSocket. What is read from it has been
// judged: frames are unmasked for the scan, fragments of a message are seen as
// one text, and bytes that could be the beginning of a secret wait for what
// follows. Bytes go on as the client sent them, mask and all.
type frameConn struct {
	net.Conn
	src *bufio.Reader
	x   *exchange

	message *secretscan.Window // the data message in progress
	control *secretscan.Window // the control frame in progress
	pending []segment          // parsed, not yet cleared
	waiting [2]int             // bytes of payload in pending, of messages and of control frames
	out     []byte             // cleared, not yet read
	inData  bool               // a fragmented message is open

	frame  frameHeader
	left   uint64 // payload of the frame that is still to come
	offset uint64 // in the payload, for the mask
	err    error
	closed atomic.Bool
	// onClose, if set, is called once.
	onClose func()
}

// maxPending bounds the segments that wait for a window. Frames of a byte or
// none, thousands of them, are an attack.
const maxPending = 1024

// segment is a run of bytes in the order of the wire: a frame's header, which
// waits only for its predecessors, or payload, which waits for the scan.
type segment struct {
	raw     []byte
	payload bool
	control bool
}

type frameHeader struct {
	final, control bool
	mask           [4]byte
}

// window judges what goes through a WebSocket, where nothing is rewritten.
func (x *exchange) window() *secretscan.Window {
	return x.table.scanning.bodies.NewWindow().With(x.options(false, "websocket"))
}

func newFrameConn(c net.Conn, src *bufio.Reader, x *exchange) *frameConn {
	return &frameConn{Conn: c, src: src, x: x, message: x.window(), control: x.window()}
}

// Read implements [net.Conn].
func (f *frameConn) Read(p []byte) (int, error) {
	for len(f.out) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		if f.err = f.step(); f.err != nil && !errors.Is(f.err, io.EOF) {
			f.note(f.err)
		}
	}
	n := copy(p, f.out)
	f.out = f.out[n:]
	return n, nil
}

// Close implements [net.Conn]. What has come and was not read yet is dropped.
func (f *frameConn) Close() error {
	if f.closed.Swap(true) {
		return nil
	}
	if f.onClose != nil {
		f.onClose()
	}
	return f.Conn.Close()
}

func (f *frameConn) note(err error) {
	var l *leak
	if errors.As(err, &l) {
		f.x.fail(l.denied())
	} else if errors.Is(err, errBudget) {
		f.x.fail(*budgetDenial())
	} else if errors.Is(err, errFrame) {
		f.x.fail(policy.Denied(policy.ReasonUnscannable, f.x.decision.Rule, "A WebSocket frame cannot be read, so the connection was closed."))
	}
}

var errFrame = errors.New("a WebSocket frame that breaks the protocol")

// step reads a header, or a piece of a payload, and releases what it can.
func (f *frameConn) step() error {
	if f.closed.Load() {
		return net.ErrClosed
	}
	if len(f.pending) > maxPending {
		return errFrame
	}
	if f.left == 0 {
		if err := f.header(); err != nil {
			return err
		}
	}
	if f.left > 0 {
		if err := f.payload(); err != nil {
			return err
		}
	}
	if f.left > 0 {
		return nil
	}
	return f.endFrame()
}

// header reads a frame's header.
func (f *frameConn) header() error {
	raw := make([]byte, 14)
	if _, err := io.ReadFull(f.src, raw[:2]); err != nil {
		return err
	}
	op, n := raw[0]&0x0f, 2
	control := op >= 8
	length := uint64(raw[1] & 0x7f)
	switch {
	case raw[0]&0x70 != 0: // an extension, which nobody agreed on
		return errFrame
	case raw[1]&0x80 == 0: // clients mask
		return errFrame
	case control && (length > 125 || raw[0]&0x80 == 0 || op > 10), !control && op > 2:
		return errFrame
	case !control && (op == 0) != f.inData: // a continuation of nothing, or a message within one
		return errFrame
	case length == 126:
		n = 4
	case length == 127:
		n = 10
	}
	if _, err := io.ReadFull(f.src, raw[2:n+4]); err != nil {
		return err
	}
	switch n {
	case 4:
		length = uint64(binary.BigEndian.Uint16(raw[2:]))
	case 10:
		if length = binary.BigEndian.Uint64(raw[2:]); length>>63 != 0 {
			return errFrame
		}
	}
	f.frame = frameHeader{final: raw[0]&0x80 != 0, control: control, mask: [4]byte(raw[n : n+4])}
	f.left, f.offset = length, 0
	if !control {
		f.inData = !f.frame.final
	}
	f.pending = append(f.pending, segment{raw: raw[:n+4], control: control})
	return nil
}

// payload reads what has arrived of a payload and shows it to the scan.
func (f *frameConn) payload() error {
	if _, err := f.src.Peek(1); err != nil {
		return err
	}
	n := min(uint64(f.src.Buffered()), f.left)
	raw := make([]byte, n)
	if _, err := io.ReadFull(f.src, raw); err != nil {
		return err
	}
	plain := make([]byte, n)
	for i := range raw {
		plain[i] = raw[i] ^ f.frame.mask[(f.offset+uint64(i))&3]
	}
	if a := f.x.allowance; a != nil {
		if err := a.spend(int64(n)); err != nil {
			return err
		}
	}
	f.left -= n
	f.offset += n
	f.window().Write(plain)
	f.pending = append(f.pending, segment{raw: raw, payload: true, control: f.frame.control})
	f.waiting[lane(f.frame.control)] += len(raw)
	if f.left == 0 {
		return nil // endFrame releases
	}
	return f.release(false)
}

// lane is the index of waiting.
func lane(control bool) int {
	if control {
		return 1
	}
	return 0
}

func (f *frameConn) window() *secretscan.Window {
	if f.frame.control {
		return f.control
	}
	return f.message
}

// endFrame closes the message, if this frame was its last.
func (f *frameConn) endFrame() error {
	if err := f.release(f.frame.final); err != nil {
		return err
	}
	if f.frame.final {
		*f.window() = *f.x.window()
	}
	return nil
}

// release judges the window in use and lets go, in order, what is clear.
func (f *frameConn) release(final bool) error {
	if _, found := f.window().Clean(final); found != nil {
		return &leak{found.Finding, "websocket"}
	}
	// What a window holds is the tail of the payload bytes that wait.
	held := [2]int{f.message.Held(), f.control.Held()}
	for len(f.pending) > 0 {
		s := &f.pending[0]
		n := len(s.raw)
		if s.payload {
			n = min(n, f.waiting[lane(s.control)]-held[lane(s.control)])
			f.waiting[lane(s.control)] -= n
		}
		f.out = append(f.out, s.raw[:n]...)
		if s.raw = s.raw[n:]; len(s.raw) > 0 {
			break
		}
		f.pending = f.pending[1:]
	}
	return nil
}
