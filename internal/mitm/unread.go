package mitm

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// unread notices requests that no handler gets to see: net/http answers 400 or
// 431 by itself to what it cannot read, and a client may leave halfway through a
// header. Whoever keeps a record of refusals wants those in it.
//
// An HTTP/2 connection has no state for one request: there, what is refused while
// others are served is not noticed, nor what ends before it is a stream.
type unread struct {
	report func(Tunnel)
	conns  sync.Map // net.Conn to *progress
}

// progress is how far a connection has come. Only served is touched by others
// than the goroutine that reads the connection.
type progress struct {
	tunnel  Tunnel
	served  atomic.Int64
	noticed int64
	reading bool
	settled bool // HTTP/2 is active for a moment before its first stream
}

type progressKey struct{}

// watch has the requests of a server noticed that its handler does not see.
func (u *unread) watch(s *http.Server) {
	next, connContext := s.Handler, s.ConnContext
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := r.Context().Value(progressKey{}).(*progress); ok {
			p.served.Add(1)
		}
		next.ServeHTTP(w, r)
	})
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		p := &progress{}
		p.tunnel, _ = TunnelFrom(ctx)
		u.conns.Store(c, p)
		return context.WithValue(ctx, progressKey{}, p)
	}
	s.ConnState = u.changed
}

func (u *unread) changed(c net.Conn, state http.ConnState) {
	v, ok := u.conns.Load(c)
	if !ok {
		return
	}
	p := v.(*progress)
	switch state {
	case http.StateActive: // the first bytes of a request have been read
		p.reading = p.settled || !isHTTP2(c)
		p.noticed, p.settled = p.served.Load(), true
	case http.StateIdle, http.StateClosed:
		if p.reading && p.served.Load() == p.noticed {
			u.report(p.tunnel)
		}
		p.reading = false
		if state == http.StateClosed {
			u.conns.Delete(c)
		}
	case http.StateHijacked:
		u.conns.Delete(c)
	}
}

func isHTTP2(c net.Conn) bool {
	t, ok := c.(*tls.Conn)
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}
