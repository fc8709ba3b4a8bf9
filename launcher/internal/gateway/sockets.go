package gateway

import (
	"net"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// The adapters of gonet do not wake who waits when they are closed. These do, as
// the sockets of package net.

// listener is a listening port of the guest's network.
type listener struct {
	*gonet.TCPListener
	closed atomic.Bool
}

func listenTCP(s *stack.Stack, at tcpip.FullAddress) (*listener, error) {
	l, err := gonet.ListenTCP(s, at, ipv4.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	return &listener{TCPListener: l}, nil
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if l.closed.Load() {
		if err == nil {
			_ = c.Close()
		}
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	t, ok := c.(*gonet.TCPConn)
	if !ok {
		return c, nil
	}
	return &guestConn{t}, nil
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	l.closed.Store(true)
	l.Shutdown()
	return l.TCPListener.Close()
}

// guestConn is a connection of the guest's.
type guestConn struct{ *gonet.TCPConn }

// Close implements [net.Conn].
func (c *guestConn) Close() error {
	_ = c.SetDeadline(time.Unix(1, 0))
	return c.TCPConn.Close()
}

// packets is a UDP port of the guest's network.
type packets struct {
	*gonet.UDPConn
	closed atomic.Bool
}

func listenUDP(s *stack.Stack, at tcpip.FullAddress) (*packets, error) {
	c, err := gonet.DialUDP(s, &at, nil, ipv4.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	return &packets{UDPConn: c}, nil
}

// ReadFrom implements [net.PacketConn].
func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.UDPConn.ReadFrom(b)
	if err != nil && p.closed.Load() {
		err = net.ErrClosed
	}
	return n, from, err
}

// Close implements [net.PacketConn].
func (p *packets) Close() error {
	p.closed.Store(true)
	_ = p.SetDeadline(time.Unix(1, 0))
	return p.UDPConn.Close()
}
