package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/bottlesuite/bottle/internal/secretscan"
)

// isCall reports whether a body is the client's half of a gRPC stream. It may be
// a conversation, in which the next message waits for an answer to this one, so
// it cannot be had as a whole before it is sent.
func isCall(r *http.Request) bool {
	t := r.Header.Get("Content-Type")
	return r.ProtoMajor == 2 && r.ContentLength < 0 && (t == "application/grpc" || strings.HasPrefix(t, "application/grpc+"))
}

// maxPacked bounds a compressed message, which is judged as a whole; servers
// take no larger ones unless they are told to.
const maxPacked = 4 << 20

// callReader passes on the messages of a gRPC stream after each was judged, as a
// text of its own: bytes that could begin a secret wait for what follows, but
// never beyond the end of their message, for which the other side may be
// waiting.
type callReader struct {
	src    *bufio.Reader
	coding string // of messages that say that they are compressed
	x      *exchange
	room   *share
	window *secretscan.Window
	left   uint32 // of the message that is being read
	out    []byte // cleared, not yet read
	err    error
}

func (x *exchange) newCallReader(src io.Reader, coding string, room *share) *callReader {
	return &callReader{src: bufio.NewReaderSize(src, 16<<10), coding: strings.ToLower(coding), x: x, room: room}
}

// Read implements [io.Reader]. It fails before the last byte of a secret goes.
func (c *callReader) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		if c.left > 0 {
			c.err = c.piece()
		} else {
			c.err = c.header()
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// header reads what stands before a message: whether it is compressed, and its
// length.
func (c *callReader) header() error {
	head := make([]byte, 5)
	if _, err := io.ReadFull(c.src, head); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[1:])
	switch head[0] {
	case 0:
		c.window, c.left, c.out = c.x.table.scanning.bodies.NewWindow().With(c.x.options(false, "body")), length, head
		return nil
	case 1:
		return c.packed(head, length)
	}
	return unscannable(errors.New("a message of the call is neither plain nor compressed"))
}

// piece reads what has arrived of a plain message.
func (c *callReader) piece() error {
	if _, err := c.src.Peek(1); err != nil {
		return cutOff(err)
	}
	b := make([]byte, min(uint32(c.src.Buffered()), c.left))
	if _, err := io.ReadFull(c.src, b); err != nil {
		return cutOff(err)
	}
	c.left -= uint32(len(b))
	c.window.Write(b)
	clean, found := c.window.Clean(c.left == 0)
	if found != nil {
		return &leak{found.Finding, "body"}
	}
	c.out = clean
	return nil
}

// packed reads a compressed message and judges what it decompresses to.
func (c *callReader) packed(head []byte, length uint32) error {
	if c.coding != "gzip" && c.coding != "deflate" || length > maxPacked {
		return unscannable(errors.New("a message of the call is compressed in a way that cannot be read"))
	}
	if err := c.room.grow(int(length) + decoderCost); err != nil {
		return err
	}
	message := append(head, make([]byte, length)...)
	if _, err := io.ReadFull(c.src, message[len(head):]); err != nil {
		return cutOff(err)
	}
	if _, err := io.Copy(io.Discard, c.x.newDecodedReader(bytes.NewReader(message[len(head):]), c.coding)); err != nil {
		return err
	}
	c.out = message
	return nil
}

// cutOff is the error for an end in the middle of a message.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
