package main

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// start is when a request began, and its id.
type start struct {
	at time.Time
	id string
}

func (s *service) begin() start { return start{time.Now(), audit.NewRequestID()} }

// entry describes a decision for the audit log.
func (st start) entry(rd reading, d policy.Decision, status int) audit.Entry {
	return audit.Entry{
		Event: "request", Decision: d.Verdict, Reason: d.Reason, Rule: d.Rule,
		Method: rd.method, Host: rd.authority(), Path: rd.path,
		Status: status, Duration: time.Since(st.at), RequestID: st.id,
	}
}

// recordExchange records an allowed request when it has ended.
func (s *service) recordExchange(x *exchange, status int, in, out int64) {
	d, detail := x.outcome()
	e := x.started.entry(x.reading, d, status)
	e.Detail = detail
	e.BytesIn, e.BytesOut = in, out
	s.record(e)
}

// record writes an audit line and counts the decision. When the line cannot be
// written the log keeps it, and denies what comes next: see [audit.Log.Ready].
func (s *service) record(e audit.Entry) {
	name := string(e.Decision)
	if e.Reason != "" {
		name += ":" + string(e.Reason)
	}
	s.counters.Add(name, 1)
	if err := s.audit.Write(e); err != nil {
		s.log.Error("an audit line is waiting to be written", "error", err)
	}
}

// countingWriter notes the status and counts the body of a response.
type countingWriter struct {
	http.ResponseWriter
	// informational sees the header of each 1xx response before it goes out.
	informational func(http.Header)
	status        int
	n             int64
}

func (w *countingWriter) WriteHeader(status int) {
	if status < 200 {
		w.informational(w.Header())
	}
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

// Unwrap gives [http.ResponseController] the writer's other abilities.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// countingBody counts what is read of a request's body. The transport may still
// be reading when the response has ended.
type countingBody struct {
	io.ReadCloser
	n atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// bufferPool lends copy buffers.
type bufferPool struct{ p sync.Pool }

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { return new([32 << 10]byte) }}}
}

// Get implements [httputil.BufferPool].
func (b *bufferPool) Get() []byte { return b.p.Get().(*[32 << 10]byte)[:] }

// Put implements [httputil.BufferPool].
func (b *bufferPool) Put(buf []byte) { b.p.Put((*[32 << 10]byte)(buf)) }
