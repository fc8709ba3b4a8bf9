package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"github.com/containers/gvisor-tap-vsock/pkg/virtualnetwork"
	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/framing"
	"github.com/bottlesuite/bottle/launcher/internal/gateway"
)

// quiet is for frames that nobody answers and nothing comes of.
const quiet = "no answer"

const (
	machineDocs = "../../../docs/microvm.md"
	stockBegin  = "<!-- Written by `go test ./launcher/internal/verify -run TestFramesBesideStock -update`. -->\n"
	stockEnd    = "<!-- The end of what is written. -->\n"
	// apart is set for a test that runs in a network of its own.
	apart = "BOTTLE_TEST_APART"
)

// TestFramesBesideStock puts the frames of the attempts on the wire of gvproxy's network
// as it comes, and on that of the gateway, and writes down what became of them. It does
// so in a network namespace of its own: stock goes wherever it is asked to.
func TestFramesBesideStock(t *testing.T) {
	if os.Getenv(apart) == "" {
		if os.Getuid() != 0 {
			t.Skip("a network namespace is root's to make")
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestFramesBesideStock$", "-test.v")
		if *update {
			cmd.Args = append(cmd.Args, "-update")
		}
		cmd.Env = append(os.Environ(), apart+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	raise(t, "lo", "127.0.0.1")
	raise(t, "lo:1", "198.51.100.1") // an address of this host
	s := machineRoom()
	s.machine.gatewayMAC, s.machine.guestMAC = mac{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd}, mac{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee}
	s.machine.mtu = 1500
	var err error
	if s.ear, err = listen(s.hostAddresses()); err != nil {
		t.Fatal(err)
	}
	defer s.ear.close()
	var b strings.Builder
	fmt.Fprintf(&b, "\n| attempt | frames | gvproxy v0.8.9 as it is | the gateway |\n|---|---|---|---|\n")
	through := 0
	for i, a := range linkAttempts() {
		g, serve := own(t, s.machine)
		// A wire of its own for each: what one attempt has poisoned must not hide the next.
		theirs, ours := newWire(t, s.machine, stock(t, s.machine)), newWire(t, s.machine, serve)
		stockSays, frames := theirs.try(t, s, a, fmt.Sprintf("vstock%03d", i))
		ownSays, _ := ours.try(t, s, a, fmt.Sprintf("vours%03d", i))
		if n := g.Counters()["frames:"+a.cause]; a.cause != "" && (ownSays != quiet || n < uint64(frames)) {
			t.Errorf("%s: the gateway: %s, and %d of %d frames counted", a.id, ownSays, n, frames)
		} else if a.cause != "" {
			ownSays = "denied"
		}
		if strings.HasPrefix(stockSays, "**") {
			through++
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", a.id, frames, stockSays, ownSays)
	}
	if through < 4 {
		t.Errorf("stock lets through less than it used to (%d)", through)
	}
	fmt.Fprintf(&b, "\n")
	holdDocs(t, b.String())
}

// holdDocs compares the table with that in docs/microvm.md, or writes it.
func holdDocs(t *testing.T, table string) {
	t.Helper()
	data, err := os.ReadFile(machineDocs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), stockBegin)
	old, after, ok2 := strings.Cut(rest, stockEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the lines between which its table stands", machineDocs)
	}
	if *update {
		if err := os.WriteFile(machineDocs, []byte(before+stockBegin+table+stockEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != table {
		t.Errorf("%s says otherwise; run this test with -update after a look:\n%s", machineDocs, table)
	}
}

// raise brings a link up, with an address.
func raise(t *testing.T, link, address string) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq(link)
	if err == nil {
		err = r.SetInet4Addr(netip.MustParseAddr(address).AsSlice())
	}
	if err == nil {
		err = unix.IoctlIfreq(s, unix.SIOCSIFADDR, r)
	}
	if err == nil {
		r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		err = unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
	}
	if err != nil {
		t.Fatalf("cannot raise %s: %v", link, err)
	}
}

// stock is gvproxy's network with what gvproxy has on by itself: the host's loopback at
// its own address, and its control API at the gateway's.
func stock(t *testing.T, m *vmachine) func(context.Context, net.Conn) {
	n, err := virtualnetwork.New(&types.Configuration{
		MTU: m.mtu, Subnet: "10.213.1.0/28", GatewayIP: m.gateway.String(), GatewayMacAddress: net.HardwareAddr(m.gatewayMAC[:]).String(),
		DHCPStaticLeases: map[string]string{m.guest.String(): net.HardwareAddr(m.guestMAC[:]).String()},
		NAT:              map[string]string{"192.168.127.254": "127.0.0.1"}, GatewayVirtualIPs: []string{"192.168.127.254", m.served[1].String()},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := n.Listen("tcp", m.gateway.String()+":80")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = http.Serve(l, n.ServicesMux()) }()
	return func(ctx context.Context, c net.Conn) { _ = n.AcceptQemu(ctx, c) }
}

// own is the gateway.
func own(t *testing.T, m *vmachine) (*gateway.Gateway, func(context.Context, net.Conn)) {
	trail, err := audit.Open(filepath.Join(t.TempDir(), "gateway.jsonl"), "gateway", "demo-abcde")
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(&wire.Gateway{
		Bottle: wire.GatewayBottle{
			Version: wire.Version, Identity: "demo-abcde", Admin: "127.0.0.1:0", Guest: m.guest.String(),
			Forwards: []wire.GatewayForward{{Name: "egress", Listen: m.served[1].String() + ":9099", Dial: "127.0.0.1:9"}},
		},
		Stack: wire.GatewayStack{
			MTU: m.mtu, Subnet: "10.213.1.0/28", GatewayIP: m.gateway.String(), GatewayMacAddress: net.HardwareAddr(m.gatewayMAC[:]).String(),
			GatewayVirtualIPs: []string{m.served[1].String()}, DHCPStaticLeases: map[string]string{m.guest.String(): net.HardwareAddr(m.guestMAC[:]).String()},
		},
		Interfaces: wire.GatewayInterfaces{FD: 3},
	}, daemon.Env{Log: slog.New(slog.DiscardHandler), Audit: trail})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { _ = g.Serve(ctx) }()
	return g, func(ctx context.Context, c net.Conn) { _ = g.Attach(ctx, framing.NewStream(c)) }
}

// fakeCard is a machine's end of a link, as bare as the probe has it.
type fakeCard struct {
	m     *vmachine
	conn  net.Conn
	ended chan struct{}
	mu    sync.Mutex
	heard [][]byte
}

func newWire(t *testing.T, m *vmachine, serve func(context.Context, net.Conn)) *fakeCard {
	t.Helper()
	far, near := testkit.SocketPair(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = far.Close() })
	c := &fakeCard{m: m, conn: far, ended: make(chan struct{})}
	go func() { defer close(c.ended); serve(ctx, near) }()
	go c.listen()
	return c
}

// listen keeps what arrives, and answers who the machine is, as its kernel would.
func (c *fakeCard) listen() {
	for {
		var head [4]byte
		if _, err := io.ReadFull(c.conn, head[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(c.conn, frame); err != nil {
			return
		}
		if len(frame) >= 42 && binary.BigEndian.Uint16(frame[12:]) == typeARP && frame[21] == 1 && netip.AddrFrom4([4]byte(frame[38:42])) == c.m.guest {
			c.send(ether(mac(frame[6:12]), c.m.guestMAC, typeARP, arp(2, c.m.guestMAC, c.m.guest, mac(frame[6:12]), netip.AddrFrom4([4]byte(frame[28:32])))))
		}
		c.mu.Lock()
		c.heard = append(c.heard, frame)
		c.mu.Unlock()
	}
}

func (c *fakeCard) send(frame []byte) {
	_, _ = c.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
}

// try sends the frames of an attempt and says what became of them.
func (c *fakeCard) try(t *testing.T, s *site, a *attempt, token string) (said string, frames int) {
	t.Helper()
	task, _ := a.plan(&view{site: s, token: token, user: root})
	c.send(ether(everybody, c.m.guestMAC, typeARP, arp(1, c.m.guestMAC, c.m.guest, mac{}, c.m.gateway))) // as a machine begins
	time.Sleep(50 * time.Millisecond)
	for _, f := range task.Link.Frames {
		c.send(f)
	}
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s.ear.said(token) != "" {
			return "**reached the host**", len(task.Link.Frames)
		}
	}
	select {
	case <-c.ended:
		return "**its network ended**", len(task.Link.Frames)
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.heard {
		if what := s.machine.answer(f, portOf(token)); what != "" {
			what, _, _ = strings.Cut(what, " from ")
			return "**answered**: " + what, len(task.Link.Frames)
		}
	}
	if a.cause == "" {
		return "the machine's own", len(task.Link.Frames)
	}
	return quiet, len(task.Link.Frames)
}
