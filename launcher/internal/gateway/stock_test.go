package gateway

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"github.com/containers/gvisor-tap-vsock/pkg/virtualnetwork"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// probe is what one guest tries, and whether it got there.
type outcome struct{ hostLoopback, hostAddress, controlAPI, datagram bool }

// tries knocks at the same doors from a guest of any gateway. Loopback is an
// address under which the guest hopes to find the host's loopback.
func (r *rig) tries(t *testing.T, loopback, gateway string) (o outcome) {
	t.Helper()
	seen, there := witness(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(there)
	reached := func(to string) bool {
		c, err := r.dial(to)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = c.Read(make([]byte, 1))
		return true
	}
	reached(loopback + ":" + port)
	o.hostLoopback = seen.Load() > 0

	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().Is4() || p.Addr().IsLoopback() {
			continue
		}
		mine, at := witness(t, p.Addr().String()+":0")
		reached(at)
		o.hostAddress = o.hostAddress || mine.Load() > 0

		l, err := net.ListenPacket("udp", p.Addr().String()+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		to := netip.MustParseAddrPort(l.LocalAddr().String())
		if c, err := gonet.DialUDP(r.guest, nil, &tcpip.FullAddress{Addr: address(to.Addr()), Port: to.Port()}, ipv4.ProtocolNumber); err == nil {
			_, _ = c.Write([]byte("hello"))
			defer c.Close()
		}
		_ = l.SetReadDeadline(time.Now().Add(time.Second))
		_, _, err = l.ReadFrom(make([]byte, 16))
		o.datagram = o.datagram || err == nil
		break
	}
	o.controlAPI = reached(gateway + ":80")
	return o
}

// TestStockBesideOurs shows why there is a gateway: the same guest, the same
// doors, once behind gvproxy as it is and once behind ours.
func TestStockBesideOurs(t *testing.T) {
	stock := config("", 1500)
	stock.Stack.Subnet, stock.Stack.GatewayIP, stock.Bottle.Guest = "192.168.127.0/24", "192.168.127.1", "192.168.127.2"
	far, near := testkit.SocketPair(t)
	defer far.Close()
	network, err := virtualnetwork.New(&types.Configuration{
		MTU: 1500, Subnet: stock.Stack.Subnet, GatewayIP: stock.Stack.GatewayIP, GatewayMacAddress: stock.Stack.GatewayMacAddress,
		NAT: map[string]string{"192.168.127.254": "127.0.0.1"}, GatewayVirtualIPs: []string{"192.168.127.254"},
		DHCPStaticLeases: map[string]string{"192.168.127.2": "5a:94:ef:e4:0c:ee"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = network.AcceptQemu(ctx, near) }()
	theirs := &rig{t: t, raw: far}
	theirs.bootGuest(card{
		mtu: 1500, guest: netip.MustParseAddr("192.168.127.2"), gateway: netip.MustParseAddr("192.168.127.1"),
		subnet: netip.MustParsePrefix("192.168.127.0/24"), mac: MAC{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee}, peer: MAC{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd},
	})
	defer theirs.guest.Destroy()
	ours := newRig(t, config(testkit.Serve(t, echo), 1500))

	got := theirs.tries(t, "192.168.127.254", "192.168.127.1")
	t.Logf("gvproxy v0.8.9 as it is: %+v", got)
	if !got.hostLoopback || !got.hostAddress || !got.controlAPI || !got.datagram {
		t.Errorf("gvproxy lets less through than it used to (%+v): docs/microvm.md says otherwise", got)
	}
	for _, loopback := range []string{"10.213.1.1", "10.213.1.2", "192.168.127.254"} {
		if got := ours.tries(t, loopback, "10.213.1.1"); got != (outcome{}) {
			t.Errorf("ours lets through %+v", got)
		}
	}
}
