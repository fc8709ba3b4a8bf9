package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// Bounds of what a guest can have open.
const (
	maxConns = 256 // at a time; further ones are closed at once
	dialTime = 5 * time.Second
	copySize = 64 << 10
)

var buffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// listen opens the guest's side of a forward.
func (g *Gateway) listen(f forward) (net.Listener, error) {
	return listenTCP(g.stack, tcpip.FullAddress{NIC: nic, Addr: address(f.listen.Addr()), Port: f.listen.Port()})
}

// accept carries the connections of one forward until the listener is closed.
func (g *Gateway) accept(ctx context.Context, f forward, l net.Listener) {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			select { // it cannot fail for good, but must not turn in circles
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		select {
		case g.slots <- struct{}{}:
		default:
			g.refuse(f, policy.ReasonOverloaded, "the guest has as many connections open as it may")
			_ = c.Close()
			continue
		}
		conns.Go(func() {
			defer func() { <-g.slots }()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(g.present(), cancel)()
			g.carry(ctx, f, c)
		})
	}
}

func (g *Gateway) refuse(f forward, why policy.Reason, detail string) {
	g.recorder.Record(audit.Entry{Event: "flow", Decision: policy.Deny, Reason: why, Rule: f.name, Host: f.listen.String(), Detail: detail})
}

// carry connects one connection of the guest's with the sidecar.
func (g *Gateway) carry(ctx context.Context, f forward, guest net.Conn) {
	defer guest.Close()
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	side, err := g.dialer.DialContext(dialing, f.network, f.address)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			g.refuse(f, policy.ReasonUpstreamUnreachable, "the sidecar did not answer: "+err.Error())
		}
		return
	}
	defer side.Close()
	defer context.AfterFunc(ctx, func() { _ = guest.Close(); _ = side.Close() })()
	g.recorder.Count("forwarded:" + f.name)
	var out sync.WaitGroup
	out.Go(func() { pump(side, guest) })
	pump(guest, side)
	out.Wait()
}

// pump moves bytes until one side is done, and tells the other that no more
// will come. An error ends both directions.
func pump(dst, src net.Conn) {
	b, _ := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, *b)
	half, ok := dst.(interface{ CloseWrite() error })
	if err == nil && ok && !errors.Is(half.CloseWrite(), net.ErrClosed) {
		return
	}
	_ = dst.Close()
	_ = src.Close()
}
