package gateway

import (
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// TestTap has this kernel for a guest: a network namespace whose only link is a
// TAP device into the gateway.
func TestTap(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	r.raw.Close()
	<-r.detached
	g := r.gw.net.guard

	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("there are no network namespaces here: ", err)
	}
	a, err := openTap("guest0")
	if err != nil {
		t.Skip("there are no TAP devices here: ", err)
	}
	at, err := a.Next()
	if err != nil {
		t.Fatal(err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	set := func(op uint, fill func(*unix.Ifreq)) {
		t.Helper()
		req, err := unix.NewIfreq("guest0")
		if err != nil {
			t.Fatal(err)
		}
		fill(req)
		if err := unix.IoctlIfreq(s, op, req); err != nil {
			t.Fatal(err)
		}
	}
	set(unix.SIOCSIFADDR, func(q *unix.Ifreq) { _ = q.SetInet4Addr(g.Guest.AsSlice()) })
	set(unix.SIOCSIFNETMASK, func(q *unix.Ifreq) { _ = q.SetInet4Addr(mask(r.gw.net.subnet)) })
	set(unix.SIOCSIFFLAGS, func(q *unix.Ifreq) { q.SetUint16(unix.IFF_UP) })
	// The kernel chose the card's address; the guard takes no other.
	card, err := net.InterfaceByName("guest0")
	if err != nil {
		t.Fatal(err)
	}
	own := *g
	own.GuestMAC = MAC(card.HardwareAddr)
	r.gw.link.guard = &own
	if err := r.gw.stack.AddStaticNeighbor(nic, 0x0800, address(g.Guest), tcpip.LinkAddress(own.GuestMAC[:])); err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.gw.Attach(t.Context(), at) }()

	sendGiant(t, card.Index, &own)
	r.audited(`"event":"flow"`, `"method":"giant"`)
	c, err := net.Dial("tcp", "10.213.1.2:9099")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "hello")
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := net.Dial("tcp", "10.213.1.2:22"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("another port: %v", err)
	}
}

// sendGiant puts the longest frame on a card that its kernel lets through: one with the
// tag of a virtual network.
func sendGiant(t *testing.T, card int, g *Guard) {
	t.Helper()
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	frame := ether(g, g.GatewayMAC, 0x8100, make([]byte, g.MTU+4)...)
	if err := unix.Sendto(s, frame, 0, &unix.SockaddrLinklayer{Ifindex: card, Protocol: 0x0081}); err != nil {
		t.Fatalf("the card does not take a frame of %d bytes: %v", len(frame), err)
	}
}
