package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// ear listens on this host, by TCP and UDP, on every address that it has, and
// notes what arrives.
type ear struct {
	port int
	tcp  net.Listener
	udp  net.PacketConn

	mu    sync.Mutex
	heard []sound
	done  sync.WaitGroup
}

// sound is what arrived: from where, and what it said.
type sound struct{ how, from, said string }

// listen begins to listen and makes sure that it hears: deaf ears would find every
// bottle tight.
func listen(addresses []string) (*ear, error) {
	var last error
	for range 10 { // the port that TCP picked may be taken for UDP
		tcp, err := net.Listen("tcp", ":0")
		if err != nil {
			return nil, fmt.Errorf("cannot listen on this host: %w", err)
		}
		e := &ear{tcp: tcp, port: tcp.Addr().(*net.TCPAddr).Port}
		if e.udp, err = net.ListenPacket("udp", fmt.Sprintf(":%d", e.port)); err != nil {
			last = errors.Join(err, tcp.Close())
			continue
		}
		e.done.Go(e.hearTCP)
		e.done.Go(e.hearUDP)
		if err := e.test(addresses); err != nil {
			e.close()
			return nil, err
		}
		return e, nil
	}
	return nil, fmt.Errorf("cannot listen on this host: %w", last)
}

func (e *ear) close() {
	_ = e.tcp.Close()
	_ = e.udp.Close()
	e.done.Wait()
}

// test speaks to itself on every address, by TCP and UDP.
func (e *ear) test(addresses []string) error {
	run := newRun()
	for i, a := range addresses {
		for _, network := range []string{"tcp", "udp"} {
			conn, err := net.DialTimeout(network, net.JoinHostPort(a, fmt.Sprint(e.port)), time.Second)
			if err != nil {
				return fmt.Errorf("cannot reach my own listener at %s, so what the guest cannot reach would prove nothing: %w", a, err)
			}
			_, _ = fmt.Fprintf(conn, "%s%s%d", network, run, i)
			_ = conn.Close()
		}
	}
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		missing := ""
		for i, a := range addresses {
			for _, network := range []string{"tcp", "udp"} {
				if e.said(fmt.Sprintf("%s%s%d", network, run, i)) == "" {
					missing = network + " at " + a
				}
			}
		}
		if missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("my own listener does not hear %s, so what it does not hear would prove nothing", missing)
		}
	}
}

// said is how a token arrived, "" when it did not.
func (e *ear) said(token string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.heard {
		if strings.Contains(s.said, token) {
			return s.how + " from " + s.from
		}
	}
	return ""
}

func (e *ear) note(how string, from net.Addr, said []byte) {
	const most = 10000
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard) < most {
		e.heard = append(e.heard, sound{how, from.String(), string(said)})
	}
}

func (e *ear) hearTCP() {
	for {
		conn, err := e.tcp.Accept()
		if err != nil {
			return
		}
		e.done.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
			var b [256]byte
			n, _ := conn.Read(b[:])
			e.note("TCP", conn.RemoteAddr(), b[:n])
		})
	}
}

func (e *ear) hearUDP() {
	var b [2048]byte
	for {
		n, from, err := e.udp.ReadFrom(b[:])
		if err != nil {
			return
		}
		e.note("UDP", from, b[:n])
	}
}

// hostAddresses are the addresses of this host that a guest could try.
func (s *site) hostAddresses() (list []string) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	const enough = 64
	for _, a := range all {
		ip, ok := a.(*net.IPNet)
		if ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() && len(list) < enough {
			list = append(list, ip.IP.String())
		}
	}
	return list
}

// linkLocal is the host's IPv6 address on a bridge of the bottle's, or the one that it
// would have there by the bridge's hardware address, "" where there is no such bridge.
func (s *site) linkLocal(network string) string {
	n := s.networks[network]
	if len(n.ID) < 12 {
		return ""
	}
	bridge, err := net.InterfaceByName("br-" + n.ID[:12])
	if err != nil {
		return ""
	}
	addrs, _ := bridge.Addrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() == nil && ip.IP.IsLinkLocalUnicast() {
			return ip.IP.String()
		}
	}
	if m := bridge.HardwareAddr; len(m) == 6 {
		return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]}).String()
	}
	return ""
}

// settled waits a moment for what is on its way to the ear.
func settled(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}
