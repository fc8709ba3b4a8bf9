package own

import (
	"bytes"
	"errors"
	"io"

	"github.com/bottlesuite/bottle/internal/secret"
)

// ErrPlaceholder is why reading a body fails in which a placeholder stands.
var ErrPlaceholder = errors.New("the body holds a placeholder")

var prefix = []byte(secret.PlaceholderPrefix)

// Body passes a request's body on until a placeholder begins in it. It copies
// nothing but the few bytes at the end of a piece that could be the beginning of
// one, and holds back no others.
type Body struct {
	src  io.ReadCloser
	held [len(secret.PlaceholderPrefix)]byte // the end of the piece before
	n    int
	err  error
	// out is what a reader with a small buffer has not taken yet.
	out, buf []byte
}

// NewBody returns the guarded body. Nothing is read yet.
func NewBody(src io.ReadCloser) *Body { return &Body{src: src} }

// Prime reads the first n bytes before anybody asks for them, so that a body of
// that length is judged before a request is sent. It returns [ErrPlaceholder];
// any other error comes with the reading.
func (b *Body) Prime(n int) error {
	b.buf = make([]byte, n+len(b.held)+1)
	got := 0
	for got < n && b.err == nil {
		m, _ := b.pass(b.buf[got:])
		got += m
	}
	b.out = b.buf[:got]
	if b.err == ErrPlaceholder {
		return b.err
	}
	return nil
}

// Close implements [io.Closer].
func (b *Body) Close() error { return b.src.Close() }

// Read implements [io.Reader].
func (b *Body) Read(p []byte) (int, error) {
	if len(b.out) == 0 && len(p) > len(b.held) {
		return b.pass(p)
	}
	if len(b.out) == 0 && len(p) > 0 {
		if b.buf == nil {
			b.buf = make([]byte, 512)
		}
		n, err := b.pass(b.buf)
		if n == 0 {
			return 0, err
		}
		b.out = b.buf[:n]
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// pass reads a piece into p, which is longer than a placeholder's beginning.
func (b *Body) pass(p []byte) (int, error) {
	for b.err == nil {
		n := copy(p, b.held[:b.n])
		b.n = 0
		m, err := b.src.Read(p[n:])
		piece := p[:n+m]
		b.err = err
		if bytes.Contains(piece, prefix) {
			b.err = ErrPlaceholder
			break
		}
		if err == nil {
			b.n = copy(b.held[:], piece[len(piece)-beginning(piece):])
		}
		if out := len(piece) - b.n; out > 0 {
			return out, nil // an error comes with the next call
		}
	}
	return 0, b.err
}

// beginning returns how many of the last bytes of piece could be the beginning
// of a placeholder.
func beginning(piece []byte) int {
	for n := min(len(prefix)-1, len(piece)); n > 0; n-- {
		if bytes.HasSuffix(piece, prefix[:n]) {
			return n
		}
	}
	return 0
}
