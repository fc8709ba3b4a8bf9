package mitm

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/bottlesuite/bottle/internal/hop"
)

// Mirror sends each request on in the protocol in which it came: HTTP/2 where
// the client speaks it and the next hop offers it, else HTTP/1.1. So a chain of
// proxies has the properties of a direct connection, and a simple client does
// not pay for multiplexing that it cannot use: over loopback an HTTP/1.1
// response is one write and one wake-up, an HTTP/2 one is three.
type Mirror struct {
	h1 *hop.Client
	h2 *http.Transport
}

// NewMirror makes two pools out of one description, which must not be used any
// more.
func NewMirror(t *http.Transport) *Mirror {
	t.ForceAttemptHTTP2 = true // before Clone, which settles the protocols of both
	h1 := t.Clone()
	h1.ForceAttemptHTTP2 = false
	h1.Protocols = new(http.Protocols)
	h1.Protocols.SetHTTP1(true)
	if h1.TLSClientConfig != nil {
		h1.TLSClientConfig.NextProtos = nil
	}
	return &Mirror{hop.New(h1), t}
}

// RoundTrip implements [http.RoundTripper]. ReverseProxy leaves the version of
// the incoming request in its copy, where transports ignore it.
func (m *Mirror) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ProtoMajor != 2 {
		return m.h1.RoundTrip(r)
	}
	if r.Body == nil || r.Body == http.NoBody {
		return m.h2.RoundTrip(r)
	}
	sent := &sentBody{ReadCloser: r.Body}
	r = r.WithContext(r.Context()) // a copy: the request is the caller's
	r.Body = sent
	resp, err := m.h2.RoundTrip(r)
	if err == nil {
		resp.Body = &answerBody{resp.Body, sent}
	}
	return resp, err
}

// sentBody notes when the client's half of an exchange has come to its end.
type sentBody struct {
	io.ReadCloser
	ended atomic.Bool
}

// Read implements [io.Reader].
func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}

// answerBody is the body of a response that may end before the request's: a
// server may refuse an upload half-way, and gRPC ends a call when it likes.
// The transport's Close waits until nobody reads the request's body any more,
// and ReverseProxy calls it before it ends the response, which is what the
// client may be waiting for, silently. So what waits goes on by itself; it ends
// with the handler, when the server closes the request's body.
type answerBody struct {
	io.ReadCloser
	sent *sentBody
}

// Close implements [io.Closer].
func (b *answerBody) Close() error {
	if b.sent.ended.Load() {
		return b.ReadCloser.Close()
	}
	go func() { _ = b.ReadCloser.Close() }() // of a response that has been read, or is not wanted
	return nil
}

// CloseIdleConnections closes what neither pool is using.
func (m *Mirror) CloseIdleConnections() {
	m.h1.CloseIdleConnections()
	m.h2.CloseIdleConnections()
}
