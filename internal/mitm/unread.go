package mitm

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// unread notices requests that no handler gets to see: net/http answers 400 or
// 431 by itself to what it cannot read, and a client may leave halfway through a
// header. Whoever keeps a record of refusals wants those in it.
//
// It looks at HTTP/1.1 only: an HTTP/2 connection has no state for one request.
type unread struct {
	report func(Tunnel)
	conns  sync.Map // net.Conn to *progress
}

// progress is touched by its connection's goroutine only.
type progress struct {
	tunnel          Tunnel
	served, noticed int
	reading         bool
}

type progressKey struct{}

// watch has the requests of a server noticed that its handler does not see.
func (u *unread) watch(s *http.Server) {
	next, connContext := s.Handler, s.ConnContext
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := r.Context().Value(progressKey{}).(*progress); ok && r.ProtoMajor == 1 {
			p.served++
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
		t, isTLS := c.(*tls.Conn)
		p.reading = !isTLS || t.ConnectionState().NegotiatedProtocol != "h2"
		p.noticed = p.served
	case http.StateIdle:
		p.reading = false
	case http.StateClosed:
		u.conns.Delete(c)
		if p.reading && p.served == p.noticed {
			u.report(p.tunnel)
		}
	case http.StateHijacked:
		u.conns.Delete(c)
	}
}
