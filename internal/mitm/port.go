package mitm

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// drain is how long requests in flight may take after the context ended.
	drain = 3 * time.Second
	// maxConnections bounds a port's connections, idle tunnels included. More
	// wait to be accepted, so that a flood starves its own author and not the
	// proxy.
	maxConnections = 1024
)

// Port is where a proxy listens, with the tunnels that are opened there.
type Port struct {
	listener net.Listener
	server   *http.Server
	tunnels  *Server
}

// Listen opens a port, or the socket of a unix:// address, which is its owner's
// alone. The handler takes CONNECT and plain requests.
func Listen(address string, handler http.Handler, tunnels *Server, errorLog *log.Logger) (*Port, error) {
	l, err := listen(address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for requests: %w", err)
	}
	p := &Port{
		listener: l,
		tunnels:  tunnels,
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: ReadHeaderTimeout,
			IdleTimeout:       IdleTimeout,
			MaxHeaderBytes:    MaxHeaderBytes,
			ErrorLog:          errorLog,

			DisableGeneralOptionsHandler: true,
		},
	}
	tunnels.watchUnread(p.server)
	return p, nil
}

// Addr returns the address of the port.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Close gives up a port that was never served.
func (p *Port) Close() error { return p.listener.Close() }

// Serve works until ctx ends or it or one of others fails, then lets requests
// in flight finish for a moment.
func (p *Port) Serve(ctx context.Context, others ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1+len(others))
	for _, serve := range others {
		go func() {
			if err := serve(ctx); err != nil {
				failed <- err
			}
		}()
	}
	go func() { failed <- p.server.Serve(netutil.LimitListener(p.listener, maxConnections)) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer stop()
	if p.server.Shutdown(end) != nil {
		_ = p.server.Close()
	}
	_ = p.tunnels.Shutdown(end) // what is left is cut
	return err
}

// KeepEarly wraps a writer so that hijacking it keeps what the client sent right
// behind the request: the beginning of its handshake after a CONNECT, its first
// frames after an upgrade.
func KeepEarly(w http.ResponseWriter) http.ResponseWriter { return early{w} }

type early struct{ http.ResponseWriter }

// Unwrap gives [http.ResponseController] the writer's other abilities.
func (e early) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// Hijack implements [http.Hijacker].
func (e early) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(e.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if sent, _ := rw.Reader.Peek(rw.Reader.Buffered()); len(sent) > 0 {
		c = &earlyConn{Conn: c, early: bytes.Clone(sent)}
	}
	return c, rw, nil
}

type earlyConn struct {
	net.Conn
	early []byte
}

// Read gives the early bytes first.
func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	c.early = c.early[n:]
	return n, nil
}
