package upstream

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// Tripwire listens by TCP and UDP where nothing should ever arrive, and notes
// what does.
type Tripwire struct {
	tcp net.Listener
	udp net.PacketConn

	mu      sync.Mutex
	touched []string
	done    sync.WaitGroup
}

// NewTripwire listens on a host and port; port 0 picks one that is free for
// both protocols.
func NewTripwire(host string, port int) (*Tripwire, error) {
	var lastErr error
	for range 10 { // the port that TCP picked may be taken for UDP
		tcp, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", host, port))
		if err != nil {
			return nil, fmt.Errorf("the tripwire cannot listen: %w", err)
		}
		udp, err := net.ListenPacket("udp4", tcp.Addr().String())
		if err == nil {
			t := &Tripwire{tcp: tcp, udp: udp}
			t.done.Go(t.watchTCP)
			t.done.Go(t.watchUDP)
			return t, nil
		}
		lastErr = errors.Join(err, tcp.Close())
	}
	return nil, fmt.Errorf("the tripwire cannot listen: %w", lastErr)
}

// Port is the port on which it listens.
func (t *Tripwire) Port() int { return t.tcp.Addr().(*net.TCPAddr).Port }

// Touched lists what arrived: protocol, from where, and where to.
func (t *Tripwire) Touched() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.touched...)
}

// Close ends the listening.
func (t *Tripwire) Close() error {
	err := errors.Join(t.tcp.Close(), t.udp.Close())
	t.done.Wait()
	return err
}

func (t *Tripwire) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.touched = append(t.touched, fmt.Sprintf(format, args...))
}

func (t *Tripwire) watchTCP() {
	for {
		c, err := t.tcp.Accept()
		if err != nil {
			return
		}
		t.note("TCP from %s to %s", c.RemoteAddr(), c.LocalAddr())
		_ = c.Close()
	}
}

func (t *Tripwire) watchUDP() {
	var buf [2048]byte
	for {
		n, from, err := t.udp.ReadFrom(buf[:])
		if err != nil {
			return
		}
		t.note("UDP from %s, %d bytes", from, n)
	}
}
