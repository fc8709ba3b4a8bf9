// Package upstream plays a private upstream: an HTTPS server with an authority
// of its own that writes down everything that truly reached it. Tests, the demo
// and the benchmarks judge a bottle by this record, because a status code only
// says what the bottle claims.
//
// A server is reached from containers at an address of the ranges that RFC 5737
// keeps for documentation: [Borrow] puts one on the loopback interface, and
// since the host owns it, packets for it that come over any bridge are
// delivered. To a bottle it is a private upstream like a company's own: its name
// is pinned by `pipelock.hosts`, allowed by `pipelock.allow_private`, and trusted
// by `pipelock.extra_ca`.
//
// The record is in memory ([Server.Since]) and in Dir/requests.jsonl, one line a
// request, also of a request that was cut off half-way. A [Tripwire] is the
// smaller sibling that answers nothing: it counts whatever arrives by TCP or UDP
// at a place where nothing should.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Config describes a server.
type Config struct {
	// Listen is where it listens, such as "198.51.100.10:443".
	Listen string
	// Names are the DNS names of its certificate; "*.demo.example" is one, too.
	Names []string
	// Dir gets ca.pem and requests.jsonl. It must exist.
	Dir string
	// KeepBody is how much of a body is kept; its length and SHA-256 are always
	// those of the whole. 64 KiB if zero.
	KeepBody int
	// Handlers serve what lies below a path ("/git/"), beside the endpoints.
	Handlers map[string]http.Handler
}

// Server is a running upstream.
type Server struct {
	record   *recorder
	server   *http.Server
	listener *countingListener
	caFile   string
	lines    *os.File
}

// Start makes an authority and a certificate, writes the former's certificate
// to Dir/ca.pem, and serves until [Server.Close].
func Start(c Config) (*Server, error) {
	authority, certificate, err := newCertificate(c.Names)
	if err != nil {
		return nil, fmt.Errorf("the upstream's certificate: %w", err)
	}
	s := &Server{caFile: filepath.Join(c.Dir, "ca.pem")}
	if err := os.WriteFile(s.caFile, authority, 0o644); err != nil {
		return nil, fmt.Errorf("the upstream's authority: %w", err)
	}
	if s.lines, err = os.OpenFile(filepath.Join(c.Dir, "requests.jsonl"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("the upstream's record: %w", err)
	}
	if c.KeepBody == 0 {
		c.KeepBody = 64 << 10
	}
	s.record = newRecorder(s.lines, c.KeepBody)
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the upstream cannot listen: %w", err), s.lines.Close())
	}
	s.listener = &countingListener{Listener: l}
	s.server = &http.Server{
		Handler:           s.record.wrap(below(c.Handlers, endpoints())),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that go away are what tests are about
	}
	go func() { _ = s.server.ServeTLS(s.listener, "", "") }() // ends with ErrServerClosed
	return s, nil
}

// below serves each path with its handler, and what is left with next.
func below(handlers map[string]http.Handler, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for path, h := range handlers {
			if strings.HasPrefix(r.URL.Path, path) {
				h.ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Close ends the server and whatever it is serving.
func (s *Server) Close() error {
	return errors.Join(s.server.Close(), s.lines.Close())
}

// CAFile is the PEM file with the certificate of the server's authority.
func (s *Server) CAFile() string { return s.caFile }

// Addr is the address on which the server listens.
func (s *Server) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Mark is a place in the record.
type Mark struct {
	requests    int
	connections int64
}

// Mark returns the place that the record has reached.
func (s *Server) Mark() Mark {
	return Mark{s.record.len(), s.listener.accepted.Load()}
}

// Since returns what has arrived since a mark. A request is in it from its
// header on; its body grows until it is Ended.
func (s *Server) Since(m Mark) []Request { return s.record.since(m.requests) }

// ConnectionsSince counts the TCP connections accepted since a mark, whether a
// request came over them or not.
func (s *Server) ConnectionsSince(m Mark) int {
	return int(s.listener.accepted.Load() - m.connections)
}

// Settle waits until every request in the record has ended, and returns those
// since a mark. A request may end on the server's side after its client has gone.
func (s *Server) Settle(ctx context.Context, m Mark) ([]Request, error) {
	for {
		idle, changed := s.record.idle()
		if idle {
			return s.Since(m), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s.Since(m), fmt.Errorf("a request is still open at the upstream: %w", ctx.Err())
		}
	}
}

// countingListener counts the connections that it accepts.
type countingListener struct {
	net.Listener
	accepted atomic.Int64
}

// Accept implements [net.Listener].
func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}
