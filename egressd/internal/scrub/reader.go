package scrub

import (
	"io"
	"strings"
)

// chunk is how much a Reader takes at once.
const chunk = 32 << 10

// Reader scrubs a stream. It is not safe for concurrent use.
type Reader struct {
	src  io.Reader
	set  *Set
	done func(hits int)
	// buf[out:ready] is clean; what follows ready may begin a needle, of which
	// early bytes have been given out already.
	buf        []byte
	out, ready int
	early      int
	err        error
	hits       int
}

// NewReader returns a reader of src's scrubbed bytes. It calls done, if that is
// not nil, once at the end of the stream, with the number of replacements.
func (s *Set) NewReader(src io.Reader, done func(hits int)) *Reader {
	return &Reader{src: src, set: s, done: done}
}

// Read implements [io.Reader]. It reads its source once for each call that has
// nothing left to give, so that a stream flows at its own pace.
func (r *Reader) Read(p []byte) (int, error) {
	for r.out == r.ready {
		if r.err != nil {
			r.release()
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.buf[r.out:r.ready])
	r.out += n
	return n, nil
}

// end masks a credential of which only the beginning came before the stream
// ended, and reports the replacements.
func (r *Reader) end() {
	if t := r.set.tail(r.buf); t >= MinLength {
		from := max(len(r.buf)-t, r.early) // what has left has left
		copy(r.buf[from:], strings.Repeat(filler, len(r.buf)-from))
		r.hits++
	}
	if r.done != nil {
		r.done(r.hits)
		r.done = nil
	}
}

// buffer lends a buffer for one stream.
func (s *Set) buffer() []byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, chunk+2*s.longest)
}

// release gives the buffer back at the end of the stream. A reader that is
// dropped before leaves it to the garbage collector.
func (r *Reader) release() {
	if r.buf != nil {
		b := r.buf
		r.set.buffers.Put(&b)
		r.buf, r.out, r.ready, r.early = nil, 0, 0, 0
	}
}

// fill reads once and decides how much may go.
func (r *Reader) fill() {
	held := len(r.buf) - (r.ready - r.early)
	if r.buf == nil {
		r.buf = r.set.buffer()
	}
	r.buf = r.buf[:copy(r.buf[:cap(r.buf)], r.buf[r.ready-r.early:])]
	r.out, r.ready = r.early, r.early
	n, err := r.src.Read(r.buf[held : held+chunk])
	r.buf = r.buf[:held+n]
	r.err = err
	r.hits += r.set.bytes(r.buf)
	keep := 0
	if err == nil {
		keep = r.set.tail(r.buf)
	} else {
		r.end()
	}
	// Of a tail that may begin a needle the first bytes go, the rest waits.
	free := min(keep, Reveal)
	r.early = free
	r.ready = max(len(r.buf)-keep+free, r.out)
	if len(r.buf)-keep < r.out && keep > 0 { // the same tail as before, and longer
		r.early = r.out - (len(r.buf) - keep)
		r.ready = r.out
	}
}
