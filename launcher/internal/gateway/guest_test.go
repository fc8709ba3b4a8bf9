package gateway

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/framing"
)

// config is a gateway of one sidecar at 10.213.1.2:9099.
func config(dial string, mtu int) *wire.Gateway {
	return &wire.Gateway{
		Bottle: wire.GatewayBottle{
			Version: wire.Version, Identity: "demo-abcde", Admin: "127.0.0.1:0", Guest: "10.213.1.3",
			Forwards: []wire.GatewayForward{{Name: "egress", Listen: "10.213.1.2:9099", Dial: dial}},
		},
		Stack: wire.GatewayStack{
			MTU: mtu, Subnet: "10.213.1.0/28", GatewayIP: "10.213.1.1", GatewayMacAddress: "5a:94:ef:e4:0c:dd",
			GatewayVirtualIPs: []string{"10.213.1.2"}, DHCPStaticLeases: map[string]string{"10.213.1.3": "5a:94:ef:e4:0c:ee"},
			DNS: []wire.GatewayZone{{Name: "egress.", DefaultIP: "10.213.1.2"}},
		},
		Interfaces: wire.GatewayInterfaces{FD: 3},
	}
}

// rig is a gateway with a guest on it, over a real socket.
type rig struct {
	t     testing.TB
	gw    *Gateway
	guest *stack.Stack
	trail string
	// raw is the guest's end, for frames that no stack would send.
	raw     net.Conn
	rawLock sync.Mutex
	// detached is closed when the gateway has let go of the first attachment.
	detached chan struct{}
}

func echo(c net.Conn) {
	_, _ = io.Copy(c, c)
	_ = c.(*net.TCPConn).CloseWrite()
}

// newGateway is a gateway that serves, and the file of its audit.
func newGateway(t testing.TB, c *wire.Gateway) (*Gateway, string) {
	t.Helper()
	trail := filepath.Join(t.TempDir(), "gateway.jsonl")
	log, err := audit.Open(trail, "gateway", "demo-abcde")
	if err != nil {
		t.Fatal(err)
	}
	gw, err := New(c, daemon.Env{Log: slog.New(slog.DiscardHandler), Audit: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = gw.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return gw, trail
}

func newRig(t testing.TB, c *wire.Gateway) *rig {
	t.Helper()
	r := &rig{t: t, detached: make(chan struct{})}
	r.gw, r.trail = newGateway(t, c)
	far, near := testkit.SocketPair(t)
	r.raw = far
	go func() { defer close(r.detached); _ = r.gw.Attach(context.Background(), framing.NewStream(near)) }()
	r.bootGuest(cardOf(r.gw))
	t.Cleanup(func() {
		near.Close()
		<-r.detached
		r.guest.Destroy()
		far.Close()
	})
	return r
}

// card is the guest's end of a link.
type card struct {
	mtu            int
	guest, gateway netip.Addr
	subnet         netip.Prefix
	mac, peer      MAC
}

func cardOf(gw *Gateway) card {
	g := gw.net.guard
	return card{g.MTU, g.Guest, g.Gateway, gw.net.subnet, g.GuestMAC, g.GatewayMAC}
}

// bootGuest puts a second stack at the far end of the wire.
func (r *rig) bootGuest(c card) {
	card := &guestCard{Link: newLink(&Guard{MTU: c.mtu, GatewayMAC: c.mac, GuestMAC: c.peer}, func(Flow) {}), rig: r, raw: r.raw, frames: make(chan []byte, queued), spare: make(chan []byte, queued)}
	r.guest = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	sack := tcpip.TCPSACKEnabled(true)
	r.guest.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	if err := r.guest.CreateNIC(nic, card); err != nil {
		r.t.Fatal(err)
	}
	r.guest.AddProtocolAddress(nic, tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(c.guest), PrefixLen: c.subnet.Bits()},
	}, stack.AddressProperties{})
	sub, _ := tcpip.NewSubnet(address(c.subnet.Addr()), tcpip.MaskFromBytes(mask(c.subnet)))
	r.guest.SetRouteTable([]tcpip.Route{{Destination: sub, NIC: nic}, {Destination: header.IPv4EmptySubnet, Gateway: address(c.gateway), NIC: nic}})
	go card.read()
	go card.write()
}

// guestCard is the network card of the guest.
type guestCard struct {
	*Link
	rig    *rig
	raw    net.Conn
	frames chan []byte
	spare  chan []byte // to be filled again
}

func (g *guestCard) read() {
	in := framing.NewStream(g.raw)
	for {
		frame, err := in.ReadFrame(1 << 17)
		if err != nil {
			return
		}
		if d := g.dispatcher.Load(); d != nil {
			p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame[etherLen:])})
			(*d).DeliverNetworkPacket(header.Ethernet(frame).Type(), p)
			p.DecRef()
		}
	}
}

// WritePackets queues frames; who sends faster than the wire takes them waits.
func (g *guestCard) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	for _, p := range packets.AsSlice() {
		dst := p.EgressRoute.RemoteLinkAddress
		if dst == "" {
			dst = header.EthernetBroadcastAddress
		}
		header.Ethernet(p.LinkHeader().Push(etherLen)).Encode(&header.EthernetFields{
			Type: p.NetworkProtocolNumber, SrcAddr: g.LinkAddress(), DstAddr: dst,
		})
		var frame []byte
		select {
		case frame = <-g.spare:
		default:
		}
		frame = binary.BigEndian.AppendUint32(frame[:0], uint32(p.Size()))
		for _, s := range p.AsSlices() {
			frame = append(frame, s...)
		}
		select {
		case g.frames <- frame:
		case <-g.rig.t.Context().Done():
		}
	}
	return packets.Len(), nil
}

// write puts the frames on the wire, as many at once as there are.
func (g *guestCard) write() {
	var out []byte
	take := func(frame []byte) {
		out = append(out, frame...)
		select {
		case g.spare <- frame:
		default:
		}
	}
	for {
		out = out[:0]
		select {
		case <-g.rig.t.Context().Done():
			return
		case frame := <-g.frames:
			take(frame)
		}
		for len(g.frames) > 0 && len(out) < 128<<10 {
			take(<-g.frames)
		}
		g.rig.rawLock.Lock()
		_, _ = g.raw.Write(out)
		g.rig.rawLock.Unlock()
	}
}

// send puts a frame of any kind on the wire.
func (r *rig) send(frame []byte) error {
	r.rawLock.Lock()
	defer r.rawLock.Unlock()
	_, err := r.raw.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	return err
}

func (r *rig) dial(to string) (*gonet.TCPConn, error) {
	a := netip.MustParseAddrPort(to)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return gonet.DialContextTCP(ctx, r.guest, tcpip.FullAddress{Addr: address(a.Addr()), Port: a.Port()}, ipv4.ProtocolNumber)
}

func (r *rig) mustDial(to string) *gonet.TCPConn {
	r.t.Helper()
	c, err := r.dial(to)
	if err != nil {
		r.t.Fatalf("the guest cannot reach %s: %v", to, err)
	}
	return c
}

// audited waits until the audit has a line that holds all of the words.
func (r *rig) audited(words ...string) {
	r.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		data, err := os.ReadFile(r.trail)
		if err != nil {
			r.t.Fatal(err)
		}
	lines:
		for line := range strings.Lines(string(data)) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the audit has no line with %q:\n%s", words, data)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
