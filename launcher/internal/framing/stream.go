package framing

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// Bounds of what is read from a stream at once. Every frame that is asked for fits.
const (
	readAhead = 256 << 10
	headLen   = 4
)

// MaxLimit is the longest frame that ReadFrame may be asked for.
const MaxLimit = readAhead - headLen

// Stream is an [Attachment] over a byte stream, each frame behind its length in four
// bytes, the most significant first, as QEMU's -netdev stream has it.
type Stream struct {
	conn io.ReadWriteCloser
	in   *bufio.Reader
	done int64 // bytes at the front of in that have been returned, or are cut off
	out  net.Buffers
	lens []byte
}

// NewStream attaches a connection.
func NewStream(c io.ReadWriteCloser) *Stream {
	return &Stream{conn: c, in: bufio.NewReaderSize(c, readAhead)}
}

// ReadFrame implements [Attachment].
func (s *Stream) ReadFrame(limit int) ([]byte, error) {
	if err := s.skip(); err != nil {
		return nil, err
	}
	head, err := s.in.Peek(headLen)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head))
	frame, err := s.in.Peek(headLen + int(min(n, int64(limit))))
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	s.done = headLen + n
	return frame[headLen:], nil
}

// skip leaves behind what is done with.
func (s *Stream) skip() error {
	const step = 1 << 30 // an int holds it everywhere
	for s.done > 0 {
		n, err := s.in.Discard(int(min(s.done, step)))
		s.done -= int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// More implements [Attachment].
func (s *Stream) More() bool {
	left := int64(s.in.Buffered()) - s.done
	if left < headLen {
		return false
	}
	next, err := s.in.Peek(int(s.done) + headLen) // all of it is buffered
	return err == nil && left-headLen >= int64(binary.BigEndian.Uint32(next[s.done:]))
}

// WriteFrames implements [Attachment].
func (s *Stream) WriteFrames(frames []net.Buffers) error {
	s.out, s.lens = s.out[:0], s.lens[:0]
	if cap(s.lens) < headLen*len(frames) {
		s.lens = make([]byte, 0, headLen*max(len(frames), most))
	}
	for _, f := range frames {
		n := 0
		for _, piece := range f {
			n += len(piece)
		}
		at := len(s.lens)
		s.lens = binary.BigEndian.AppendUint32(s.lens, uint32(n))
		s.out = append(append(s.out, s.lens[at:at+headLen]), f...)
	}
	pending := s.out
	_, err := pending.WriteTo(s.conn)
	return err
}

// Close implements [Attachment].
func (s *Stream) Close() error { return s.conn.Close() }
