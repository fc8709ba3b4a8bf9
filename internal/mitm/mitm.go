// Package mitm serves the inside of intercepted tunnels. A proxy that has
// accepted a CONNECT hands the raw connection to a [Server], which finishes TLS
// with a leaf for that very host and serves what follows by net/http's own
// server: HTTP/1.1, HTTP/2, streaming and upgrades behave as they do in any Go
// server, with its limits and timeouts.
//
// The TLS server name must be the CONNECT host. A client that sends another
// one, or none, is refused before a certificate is shown.
package mitm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/route"
)

// Timeouts and limits of a tunnel. A body may take as long as it likes; a
// header, a handshake (which net/http bounds by the same) and an idle
// connection may not.
const (
	ReadHeaderTimeout = 15 * time.Second
	IdleTimeout       = 2 * time.Minute
	MaxHeaderBytes    = 64 << 10
)

// FlushInterval is for the ReverseProxy behind a tunnel. It holds for responses
// of known length, whose header and first bytes then leave in one write instead
// of three; those without a length, and event streams, are flushed at each write
// by ReverseProxy itself.
const FlushInterval = 10 * time.Millisecond

// Tunnel is the authority that a CONNECT named, in its one spelling.
type Tunnel struct{ Host, Port string }

// Authority returns host:port.
func (t Tunnel) Authority() string { return net.JoinHostPort(t.Host, t.Port) }

// Options configure a server.
type Options struct {
	// Leaf returns the certificate for a host.
	Leaf func(host string) (*tls.Certificate, error)
	// Handler serves the decrypted requests; [TunnelFrom] gives it the tunnel.
	Handler http.Handler
	// Refused is told of each tunnel whose handshake named another host.
	Refused func(t Tunnel, serverName string)
	// Unread is told of each request that ended before a handler saw it: what
	// net/http refuses to read, or what its client did not finish. The tunnel
	// is zero for one on the proxy port itself.
	Unread func(t Tunnel)
	// ErrorLog takes net/http's own complaints.
	ErrorLog *log.Logger
}

// ErrServerName is why a handshake with another or no server name is refused.
var ErrServerName = errors.New("the TLS server name is not the host of the tunnel")

// Server serves tunnels until it is shut down. Its methods are safe for
// concurrent use.
type Server struct {
	opts  Options
	http  *http.Server
	conns *listener
	slots chan struct{}
}

type tunnelKey struct{}

// TunnelFrom returns the tunnel through which a request came.
func TunnelFrom(ctx context.Context) (Tunnel, bool) {
	t, ok := ctx.Value(tunnelKey{}).(Tunnel)
	return t, ok
}

// New starts a server.
func New(opts Options) *Server {
	s := &Server{opts: opts, conns: newListener(), slots: make(chan struct{}, maxInFlight)}
	s.http = &http.Server{
		Handler:           bounded{opts.Handler, s.slots},
		ReadHeaderTimeout: ReadHeaderTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          opts.ErrorLog,
		// OPTIONS * goes to the handler, which refuses it; net/http would say 200.
		DisableGeneralOptionsHandler: true,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: 128},
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			NextProtos: []string{"h2", "http/1.1"},
			// GetCertificate is not called when a session is resumed.
			GetConfigForClient: s.checkName,
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return opts.Leaf(tunnelOf(hello.Conn).Host)
			},
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, tunnelKey{}, tunnelOf(c))
		},
	}
	s.watchUnread(s.http)
	go func() { _ = s.http.ServeTLS(s.conns, "", "") }() // ends with ErrServerClosed
	return s
}

func (s *Server) watchUnread(server *http.Server) {
	if s.opts.Unread != nil {
		(&unread{report: s.opts.Unread}).watch(server)
	}
}

// Accept tells the client of a hijacked CONNECT that its tunnel stands, and
// serves it. It closes the connection when the client is gone.
func (s *Server) Accept(c net.Conn, t Tunnel) {
	if _, err := c.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		_ = c.Close()
		return
	}
	s.ServeConn(c, t)
}

// ServeConn takes over a connection on which the tunnel's acceptance has been
// written. It returns at once; the connection is closed when its client or the
// server is done with it.
func (s *Server) ServeConn(c net.Conn, t Tunnel) {
	s.conns.put(&conn{Conn: c, tunnel: t})
}

// Shutdown stops taking tunnels and waits for requests in flight until ctx ends,
// then closes what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// checkName refuses a handshake whose server name is not the tunnel's host.
func (s *Server) checkName(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	t := tunnelOf(hello.Conn)
	if name, err := route.Host(hello.ServerName); err != nil || name != t.Host {
		if s.opts.Refused != nil {
			s.opts.Refused(t, hello.ServerName)
		}
		return nil, fmt.Errorf("%w: tunnel to %s", ErrServerName, t.Authority())
	}
	return nil, nil // the server's own configuration
}

// conn carries its tunnel through crypto/tls and net/http.
type conn struct {
	net.Conn
	tunnel Tunnel
}

func tunnelOf(c net.Conn) Tunnel {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if c, ok := c.(*conn); ok {
		return c.tunnel
	}
	return Tunnel{}
}

// listener hands connections from ServeConn to net/http.
type listener struct {
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newListener() *listener {
	return &listener{queue: make(chan net.Conn), done: make(chan struct{})}
}

func (l *listener) put(c net.Conn) {
	select {
	case l.queue <- c:
	case <-l.done:
		_ = c.Close()
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }
