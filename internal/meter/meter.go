// Package meter wraps the two ends of an HTTP exchange so that a proxy can say
// afterwards what passed: the status, and the bytes of both bodies.
package meter

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Body counts what is read of a request's body. The transport may still be
// reading when the response has ended, so the count can be read at any time.
type Body struct {
	io.ReadCloser
	n      atomic.Int64
	broken atomic.Bool
}

// Read implements [io.Reader].
func (b *Body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	if err != nil && err != io.EOF {
		b.broken.Store(true)
	}
	return n, err
}

// Broken reports whether reading has failed: the body did not arrive whole.
func (b *Body) Broken() bool { return b.broken.Load() }

// Bytes returns how much has been read.
func (b *Body) Bytes() int64 { return b.n.Load() }

// Response notes the status of a response and counts its body.
type Response struct {
	http.ResponseWriter
	// Interim, if set, sees the header of each 1xx response before it goes.
	Interim func(http.Header)
	// Status is the final status, 0 before there is one.
	Status int
	// Bytes is the length of the body so far.
	Bytes int64
}

// WriteHeader implements [http.ResponseWriter].
func (w *Response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.Status = status
	} else if w.Interim != nil {
		w.Interim(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *Response) Write(p []byte) (int, error) {
	if w.Status == 0 {
		w.Status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.Bytes += int64(n)
	return n, err
}

// Unwrap gives [http.ResponseController] the writer's other abilities.
func (w *Response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Buffers lends copy buffers; it is a [net/http/httputil.BufferPool].
type Buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get returns a buffer.
func (b *Buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put takes a buffer back.
func (b *Buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
