package mitm

import (
	"net/http"

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
	if r.ProtoMajor == 2 {
		return m.h2.RoundTrip(r)
	}
	return m.h1.RoundTrip(r)
}

// CloseIdleConnections closes what neither pool is using.
func (m *Mirror) CloseIdleConnections() {
	m.h1.CloseIdleConnections()
	m.h2.CloseIdleConnections()
}
