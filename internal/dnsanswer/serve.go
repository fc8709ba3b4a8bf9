package dnsanswer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Bounds of what one guest can make the answerer do.
const (
	tcpConns    = 32               // at a time; more are closed at once
	tcpMessages = 64               // on one connection
	tcpIdle     = 5 * time.Second  // for a message to arrive, or a response to leave
	reports     = 20               // at a time,
	reportEvery = time.Second / 10 // then one in this time
)

// Serve answers on cfg.Listen, UDP and TCP, until ctx ends. Names that do not
// exist are passed to report with the type asked for; when there are too many,
// one report says how many were left out.
func Serve(ctx context.Context, cfg wire.DNS, report func(name, qtype string)) error {
	s, err := Listen(cfg, report)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Server is an answerer whose sockets are open.
type Server struct {
	zone    zone
	udp     net.PacketConn
	tcp     net.Listener
	reports *limiter
}

// Listen opens the sockets.
func Listen(cfg wire.DNS, report func(name, qtype string)) (*Server, error) {
	z, err := newZone(cfg)
	if err != nil {
		return nil, err
	}
	tcp, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for DNS: %w", err)
	}
	// The same port, also when the configuration leaves it to the system.
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("cannot listen for DNS: %w", err)
	}
	return newServer(z, udp, tcp, report), nil
}

// New answers on sockets that are open already, which need not be the host's.
// cfg.Listen is not used. The sockets are the server's from now on.
func New(cfg wire.DNS, udp net.PacketConn, tcp net.Listener, report func(name, qtype string)) (*Server, error) {
	z, err := newZone(cfg)
	if err != nil {
		return nil, err
	}
	return newServer(z, udp, tcp, report), nil
}

func newServer(z zone, udp net.PacketConn, tcp net.Listener, report func(name, qtype string)) *Server {
	return &Server{zone: z, udp: udp, tcp: tcp, reports: &limiter{report: report, now: time.Now}}
}

// Addr returns the address of both sockets.
func (s *Server) Addr() net.Addr { return s.tcp.Addr() }

// Serve answers until ctx ends, and closes the sockets.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { _ = s.udp.Close(); _ = s.tcp.Close() })()
	var loops sync.WaitGroup
	loops.Go(func() { cancel(s.serveUDP()) })
	loops.Go(func() { cancel(s.serveTCP(ctx)) })
	loops.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the DNS answerer stopped: %w", err)
	}
	return nil
}

func (s *Server) serveUDP() error {
	packet := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFrom(packet)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			continue // an ICMP error of an earlier response
		}
		if response := s.handle(packet[:n]); response != nil {
			_, _ = s.udp.WriteTo(response, from) // the guest asks again
		}
	}
}

func (s *Server) handle(packet []byte) []byte {
	response, no := s.zone.answer(packet)
	if no != nil {
		s.reports.add(no.name, no.qtype)
	}
	return response
}

func (s *Server) serveTCP(ctx context.Context) error {
	slots := make(chan struct{}, tcpConns)
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // out of descriptors: try again, not in a busy loop
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		conns.Go(func() {
			defer func() { <-slots }()
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			defer c.Close()
			s.serveConn(c)
		})
	}
}

func (s *Server) serveConn(c net.Conn) {
	buf := make([]byte, 2+4096)
	for range tcpMessages {
		_ = c.SetDeadline(time.Now().Add(tcpIdle)) // a dead connection shows on use
		if _, err := io.ReadFull(c, buf[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(buf))
		if n > len(buf)-2 {
			return
		}
		if _, err := io.ReadFull(c, buf[2:2+n]); err != nil {
			return
		}
		response := s.handle(buf[2 : 2+n])
		if response == nil {
			return
		}
		out := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(response)), uint16(len(response)))
		if _, err := c.Write(append(out, response...)); err != nil {
			return
		}
	}
}

// limiter bounds how often report is called.
type limiter struct {
	report func(name, qtype string)
	now    func() time.Time

	mu      sync.Mutex
	spent   time.Duration // how much of the burst is used
	last    time.Time
	skipped int
}

func (l *limiter) add(name, qtype string) {
	if l.report == nil {
		return
	}
	l.mu.Lock()
	now := l.now()
	l.spent = max(0, l.spent-now.Sub(l.last))
	l.last = now
	if l.spent+reportEvery > reports*reportEvery {
		l.skipped++
		l.mu.Unlock()
		return
	}
	l.spent += reportEvery
	skipped := l.skipped
	l.skipped = 0
	l.mu.Unlock()
	if skipped > 0 {
		l.report(fmt.Sprintf("(%d more names)", skipped), "")
	}
	l.report(name, qtype)
}
