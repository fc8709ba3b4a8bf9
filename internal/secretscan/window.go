package secretscan

import (
	"fmt"
	"io"
)

// Window judges a stream that comes in pieces. Bytes go in by [Window.Write]
// and come out of [Window.Clean] once no secret can begin in them; usually that
// is all of them, at once. Its memory is bounded by the largest piece plus
// [MaxReach] and [Context].
type Window struct {
	s *Scanner
	// buf holds context that has gone, then what is held.
	buf   []byte
	clean int // everything before it has been given out
	base  int // offset in the stream of buf[0]
}

// NewWindow returns an empty window.
func (s *Scanner) NewWindow() *Window { return &Window{s: s} }

// Write appends a piece of the stream. What Clean returned before is invalid
// after it.
func (w *Window) Write(p []byte) {
	w.compact()
	w.buf = append(w.buf, p...)
}

func (w *Window) compact() {
	if drop := w.clean - Context; drop > 0 {
		w.buf = w.buf[:copy(w.buf, w.buf[drop:])]
		w.clean -= drop
		w.base += drop
	}
}

// Clean returns the bytes that are newly clear to go. With final it decides
// about all that is left, as the end of the stream.
func (w *Window) Clean(final bool) ([]byte, *Found) {
	decided, f, found := w.s.scan(w.buf, w.clean, final)
	if found {
		f.Offset += w.base
		return nil, &Found{f}
	}
	out := w.buf[w.clean:decided]
	w.clean = decided
	return out, nil
}

// Held returns how many bytes are waiting for what follows.
func (w *Window) Held() int { return len(w.buf) - w.clean }

// Found is the error of a stream in which a secret was found.
type Found struct{ Finding }

func (f *Found) Error() string {
	return fmt.Sprintf("a secret of the kind %s stands at byte %d", f.Rule, f.Offset)
}

// Reader passes a stream on as far as it is clean.
type Reader struct {
	src io.Reader
	w   *Window
	out []byte
	in  []byte // made on first use
	err error
}

// chunk is how much a Reader takes at once.
const chunk = 32 << 10

// NewReader returns a reader of src that fails with a [*Found] instead of
// passing on a byte of the first secret.
func (s *Scanner) NewReader(src io.Reader) *Reader {
	return &Reader{src: src, w: s.NewWindow()}
}

// Prime hands over the beginning of the stream, which was read already, and
// judges it. The reader keeps the slice. It returns a [*Found] if a secret
// stands in it.
func (r *Reader) Prime(head []byte) error {
	r.w.buf = head
	clean, found := r.w.Clean(false)
	if found != nil {
		r.err = found
		return found
	}
	r.out = clean
	return nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.in == nil {
			r.in = make([]byte, chunk)
		}
		n, err := r.src.Read(r.in)
		r.w.Write(r.in[:n])
		clean, found := r.w.Clean(err == io.EOF)
		if found != nil {
			r.err = found
			return 0, found
		}
		r.out, r.err = clean, err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}
