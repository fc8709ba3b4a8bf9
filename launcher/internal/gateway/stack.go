package gateway

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// nic is the one network card.
const nic = 1

// Buffers of one connection. With the bound on connections they bound the
// memory of the gateway.
const (
	bufferDefault = 128 << 10
	bufferMax     = 512 << 10
)

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFrom4(a.As4()) }

// newStack builds the gateway's end of the link. It has no route but to the
// guest, whose hardware address it knows, and forwards nothing.
func newStack(n *network, l *Link) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: bufferDefault, Max: bufferMax}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: bufferDefault, Max: bufferMax}
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &receive, &send} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, fmt.Errorf("cannot bound the buffers of connections: %s", err)
		}
	}
	if err := s.CreateNIC(nic, l); err != nil {
		return nil, fmt.Errorf("cannot make the guest's network: %s", err)
	}
	for _, a := range n.served {
		err := s.AddProtocolAddress(nic, tcpip.ProtocolAddress{
			Protocol:          ipv4.ProtocolNumber,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(a), PrefixLen: n.subnet.Bits()},
		}, stack.AddressProperties{})
		if err != nil {
			return nil, fmt.Errorf("cannot take the address %s: %s", a, err)
		}
	}
	guest := header.IPv4EmptySubnet
	if sub, err := tcpip.NewSubnet(address(n.subnet.Addr()), tcpip.MaskFromBytes(mask(n.subnet))); err == nil {
		guest = sub
	}
	s.SetRouteTable([]tcpip.Route{{Destination: guest, NIC: nic}, {Destination: header.IPv4Broadcast.WithPrefix().Subnet(), NIC: nic}})
	mac := n.guard.GuestMAC
	if err := s.AddStaticNeighbor(nic, ipv4.ProtocolNumber, address(n.guard.Guest), tcpip.LinkAddress(mac[:])); err != nil {
		return nil, fmt.Errorf("cannot name the guest: %s", err)
	}
	return s, nil
}

func mask(p netip.Prefix) []byte {
	var m [4]byte
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m[:]
}
