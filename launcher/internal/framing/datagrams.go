package framing

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// Datagrams is an [Attachment] of one frame a datagram: a unix socket of vfkit's, or
// a TAP device.
type Datagrams struct {
	rw      io.ReadWriteCloser
	in, out []byte
}

// NewDatagrams attaches what keeps the boundaries of frames, and cuts off what a
// reader has no room for.
func NewDatagrams(rw io.ReadWriteCloser) *Datagrams { return &Datagrams{rw: rw} }

// ReadFrame implements [Attachment].
func (d *Datagrams) ReadFrame(limit int) ([]byte, error) {
	if len(d.in) < limit {
		d.in = make([]byte, limit)
	}
	n, err := d.rw.Read(d.in[:limit])
	return d.in[:n], err
}

// More implements [Attachment]. Whether a datagram waits is not asked.
func (d *Datagrams) More() bool { return false }

// WriteFrames implements [Attachment]. A frame that the other side has no room for is
// lost, as on a wire.
func (d *Datagrams) WriteFrames(frames []net.Buffers) error {
	for _, f := range frames {
		d.out = d.out[:0]
		for _, piece := range f {
			d.out = append(d.out, piece...)
		}
		if _, err := d.rw.Write(d.out); err != nil && !lost(err) {
			return err
		}
	}
	return nil
}

// Close implements [Attachment].
func (d *Datagrams) Close() error { return d.rw.Close() }

// lost reports that the other side took no frame this time, and may take the next: it
// has no room, the link is down, or the frame was none.
func lost(err error) bool {
	for _, e := range []error{syscall.ENOBUFS, syscall.EAGAIN, syscall.EIO, syscall.EINVAL, syscall.EMSGSIZE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
