package testkit

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Seen is a request as it reached an upstream.
type Seen struct {
	Method, Host, URI, Proto string
	Header                   http.Header
	Trailer                  http.Header
	Body                     []byte
}

// String describes the request in one line, its body by length.
func (s Seen) String() string {
	return fmt.Sprintf("%s %s%s %s %v, a body of %d bytes", s.Method, s.Host, s.URI, s.Proto, s.Header, len(s.Body))
}

// Upstream is a recording HTTPS server on loopback.
type Upstream struct {
	*httptest.Server
	mu         sync.Mutex
	seen       []*Seen
	handshakes atomic.Int64
}

// Handshakes returns how many TLS handshakes were completed.
func (u *Upstream) Handshakes() int { return int(u.handshakes.Load()) }

// NewUpstream starts a server whose certificate is for names. It records each
// request and leaves the answer to handler, or says "ok" when that is nil. A
// body is recorded as far as it came and was read, also when the request was cut
// off.
func NewUpstream(t testing.TB, ca *CA, handler http.HandlerFunc, names ...string) *Upstream {
	t.Helper()
	u := &Upstream{}
	u.Server = httptest.NewUnstartedServer(u.recording(handler))
	u.EnableHTTP2 = true
	u.TLS = &tls.Config{
		Certificates:     []tls.Certificate{ca.Leaf(t, names...)},
		VerifyConnection: func(tls.ConnectionState) error { u.handshakes.Add(1); return nil },
	}
	u.Config.ErrorLog = log.New(io.Discard, "", 0)
	u.StartTLS()
	t.Cleanup(u.Close)
	return u
}

func (u *Upstream) recording(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := &Seen{Method: r.Method, Host: r.Host, URI: r.RequestURI, Proto: r.Proto, Header: r.Header.Clone()}
		u.mu.Lock()
		u.seen = append(u.seen, s)
		u.mu.Unlock()
		r.Body = &recordedBody{r.Body, u, s}
		if handler != nil {
			handler(w, r)
			return
		}
		_, err := io.Copy(io.Discard, r.Body)
		u.mu.Lock()
		s.Trailer = r.Trailer.Clone()
		u.mu.Unlock()
		if err == nil {
			_, _ = io.WriteString(w, "ok")
		}
	}
}

// recordedBody records what is read of a body.
type recordedBody struct {
	io.ReadCloser
	upstream *Upstream
	seen     *Seen
}

// Read implements [io.Reader].
func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.upstream.mu.Lock()
	b.seen.Body = append(b.seen.Body, p[:n]...)
	b.upstream.mu.Unlock()
	return n, err
}

// Seen returns what has arrived since the last call.
func (u *Upstream) Seen() []Seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []Seen
	for _, s := range u.seen {
		copied := *s
		copied.Body = bytes.Clone(s.Body)
		out = append(out, copied)
	}
	u.seen = nil
	return out
}

// Port returns the port on which the server listens.
func (u *Upstream) Port() string {
	_, port, _ := net.SplitHostPort(u.Listener.Addr().String())
	return port
}

// Contains reports whether any part of the request holds needle.
func (s Seen) Contains(needle string) bool {
	if strings.Contains(s.URI, needle) || strings.Contains(s.Host, needle) || bytes.Contains(s.Body, []byte(needle)) {
		return true
	}
	for _, h := range []http.Header{s.Header, s.Trailer} {
		for k, vs := range h {
			if strings.Contains(k, needle) || strings.Contains(strings.Join(vs, "\n"), needle) {
				return true
			}
		}
	}
	return false
}
