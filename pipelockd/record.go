package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// recordable turns a permission into a denial while the audit log cannot be
// written.
func (s *service) recordable(d policy.Decision) policy.Decision {
	if err := s.audit.Ready(); err != nil {
		s.log.Error("requests are denied until the audit log can be written", "error", err)
		return policy.Denied(policy.ReasonAuditUnavailable, d.Rule, "The decision could not be recorded, so nothing was sent.")
	}
	return d
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

// entry describes the exchange's outcome for the audit log.
func (x *exchange) entry(status int) audit.Entry {
	d := x.outcome()
	e := audit.Entry{
		Event: "request", Decision: d.Verdict, Reason: d.Reason, Rule: d.Rule,
		Method: x.method, Host: x.shownHost(), Path: x.path,
		Status: status, Duration: time.Since(x.started), RequestID: x.id,
	}
	if !d.OK() {
		e.Detail = d.Detail
	}
	if x.body != nil {
		e.BytesIn = x.body.n.Load()
	}
	return e
}

// recordName records a DNS question that was answered with NXDOMAIN.
func (s *service) recordName(name, qtype string) {
	s.record(audit.Entry{
		Event: "dns", Decision: policy.Deny, Reason: policy.ReasonNameNotAnswered,
		Method: qtype, Host: masked(name), RequestID: audit.NewRequestID(),
	})
}

// response notes the status and counts the body of a response, and keeps
// upstreams from speaking in the bottle's name.
type response struct {
	http.ResponseWriter
	status int
	n      int64
	// hijack, if set, takes over after an upgrade.
	hijack func(net.Conn, *bufio.ReadWriter) net.Conn
}

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
	} else {
		removeOurs(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

// Unwrap gives [http.ResponseController] the writer's other abilities.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements [http.Hijacker], for upgrades.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijack == nil {
		return nil, nil, http.ErrNotSupported
	}
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.status = http.StatusSwitchingProtocols
	return w.hijack(c, rw), rw, nil
}

// removeOurs removes the fields that only the bottle itself may set.
func removeOurs(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Bottle-") || strings.HasPrefix(name, "X-Bottle-") {
			delete(h, name)
		}
	}
}

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
