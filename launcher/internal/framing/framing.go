// Package framing is how Ethernet frames of a virtual machine travel: over a stream,
// each behind its length, or one in a datagram. The gateway reads what a guest sends
// by it, and the holder of a machine carries frames between a device and the gateway.
//
// Whoever writes the frames is hostile. A frame may claim any length: what is longer
// than the reader has asked for is cut off, as from a datagram that does not fit, and
// the frame behind it begins where it should. Nothing is reserved for a length, and a
// frame that is too long costs its sender the time to send it.
package framing

import (
	"io"
	"net"
)

// Attachment is where frames of one guest come from and go to. ReadFrame and
// WriteFrames are each called by one goroutine; Close ends both.
type Attachment interface {
	// ReadFrame returns the next frame, valid until the next call. Of a frame longer
	// than limit bytes it returns the first limit bytes; so a limit that is one byte
	// beyond the longest frame shows which ones are too long.
	ReadFrame(limit int) ([]byte, error)
	// More says that ReadFrame would return a further frame without waiting. It is
	// called between two of its calls, and invalidates no frame.
	More() bool
	// WriteFrames writes frames, each given in pieces.
	WriteFrames(frames []net.Buffers) error
	io.Closer
}

// most is how many frames a writer expects at once.
const most = 64
