package gateway

import (
	"encoding/binary"
	"net/netip"
)

// Verdict is what becomes of a frame.
type Verdict uint8

// Verdicts.
const (
	Drop  Verdict = iota // it ends here
	Pass                 // the stack sees it
	Reset                // the guest gets a TCP reset, the stack sees nothing
)

// Cause is why a frame does not pass, a word for the audit.
type Cause string

// Causes. Malformed ones are counted; those of a flow are audited as well.
const (
	Runt         Cause = "runt"           // too short for its own headers
	Giant        Cause = "giant"          // longer than the link carries
	ForeignMAC   Cause = "foreign-mac"    // not from the guest's card, or not for the gateway's
	ForeignIP    Cause = "foreign-source" // not from the guest's address
	IPv6         Cause = "ipv6"
	EtherType    Cause = "ethertype"
	ARP          Cause = "arp" // not about a served address
	Malformed    Cause = "malformed"
	Fragment     Cause = "fragment"
	Options      Cause = "ip-options"
	ICMP         Cause = "icmp"
	UDP          Cause = "udp"
	TCP          Cause = "tcp"
	UnknownProto Cause = "protocol"
)

// Flow is what a denied packet wanted.
type Flow struct {
	Cause    Cause
	Dst      netip.Addr // the zero value when there is none to tell
	SrcPort  uint16
	DstPort  uint16
	Protocol uint8
	// Opens says that a TCP segment opens a connection.
	Opens bool
}

// Sizes and numbers of the formats that are read here.
const (
	etherLen = 14
	arpLen   = 28
	ipLen    = 20
	udpLen   = 8
	tcpLen   = 20

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd

	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17

	portDNS        = 53
	portDHCPServer = 67
	portDHCPClient = 68
)

// MAC is a hardware address.
type MAC [6]byte

var broadcastMAC = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Guard judges frames of the guest. It is pure: it keeps no state, and equal
// frames are judged alike. A Guard is not changed once it is in use.
type Guard struct {
	MTU     int // of IP packets
	Guest   netip.Addr
	Gateway netip.Addr
	// GuestMAC and GatewayMAC are the two ends of the link.
	GuestMAC, GatewayMAC MAC
	// Served are the addresses that the gateway answers for.
	Served map[netip.Addr]bool
	// Ports are the forwarded ports.
	Ports map[netip.AddrPort]bool
}

// Judge decides about a frame. The flow says, unless the frame passes, what it
// was.
func (g *Guard) Judge(frame []byte) (Verdict, Flow) {
	if len(frame) < etherLen {
		return Drop, Flow{Cause: Runt}
	}
	if len(frame) > etherLen+g.MTU {
		return Drop, Flow{Cause: Giant}
	}
	dst, src := MAC(frame[0:6]), MAC(frame[6:12])
	kind, packet := binary.BigEndian.Uint16(frame[12:]), frame[etherLen:]
	if kind == typeIPv6 { // first, so that its neighbour discovery is called by its name
		return Drop, Flow{Cause: IPv6}
	}
	if src != g.GuestMAC || dst != g.GatewayMAC && dst != broadcastMAC {
		return Drop, Flow{Cause: ForeignMAC}
	}
	switch kind {
	case typeARP:
		return g.arp(packet)
	case typeIPv4:
		return g.ip(packet, dst == broadcastMAC)
	}
	return Drop, Flow{Cause: EtherType}
}

// arp lets a guest ask who a served address is, and nothing else.
func (g *Guard) arp(p []byte) (Verdict, Flow) {
	const ethernetIPv4 = "\x00\x01\x08\x00\x06\x04\x00\x01" // a request
	if len(p) < arpLen {
		return Drop, Flow{Cause: Runt}
	}
	sender, target := netip.AddrFrom4([4]byte(p[14:18])), netip.AddrFrom4([4]byte(p[24:28]))
	if string(p[:8]) != ethernetIPv4 || MAC(p[8:14]) != g.GuestMAC || sender != g.Guest || !g.Served[target] {
		return Drop, Flow{Cause: ARP, Dst: target}
	}
	return Pass, Flow{}
}

func (g *Guard) ip(p []byte, broadcast bool) (Verdict, Flow) {
	if len(p) < ipLen {
		return Drop, Flow{Cause: Runt}
	}
	total := int(binary.BigEndian.Uint16(p[2:]))
	f := Flow{Dst: netip.AddrFrom4([4]byte(p[16:20])), Protocol: p[9]}
	src := netip.AddrFrom4([4]byte(p[12:16]))
	switch {
	case p[0]>>4 != 4 || p[0]&15 < 5 || total < ipLen || total > len(p):
		f.Cause = Malformed
	case p[0]&15 != 5:
		f.Cause = Options
	case binary.BigEndian.Uint16(p[6:])&0x3fff != 0: // more to come, or not the first
		f.Cause = Fragment
	}
	if f.Cause != "" {
		return Drop, f
	}
	body := p[ipLen:total]
	if f.Protocol == protoUDP && isDHCP(body) && (src == g.Guest || src == netip.IPv4Unspecified()) {
		if f.Dst == g.Gateway || f.Dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return Pass, Flow{}
		}
	}
	switch {
	case src != g.Guest:
		f.Cause = ForeignIP
	case broadcast:
		f.Cause = ForeignMAC
	case f.Protocol == protoTCP:
		return g.tcp(body, f)
	case f.Protocol == protoUDP:
		return g.udp(body, f)
	case f.Protocol == protoICMP:
		f.Cause = ICMP
	default:
		f.Cause = UnknownProto
	}
	return Drop, f
}

func isDHCP(udp []byte) bool {
	return len(udp) >= udpLen && binary.BigEndian.Uint16(udp) == portDHCPClient && binary.BigEndian.Uint16(udp[2:]) == portDHCPServer
}

func (g *Guard) udp(b []byte, f Flow) (Verdict, Flow) {
	if len(b) < udpLen {
		f.Cause = Runt
		return Drop, f
	}
	f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if f.Dst == g.Gateway && f.DstPort == portDNS {
		return Pass, Flow{}
	}
	f.Cause = UDP
	return Drop, f
}

// Flags of a TCP segment.
const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

func (g *Guard) tcp(b []byte, f Flow) (Verdict, Flow) {
	if len(b) < tcpLen {
		f.Cause = Runt
		return Drop, f
	}
	if n := int(b[12]>>4) * 4; n < tcpLen || n > len(b) {
		f.Cause = Malformed
		return Drop, f
	}
	f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if g.Ports[netip.AddrPortFrom(f.Dst, f.DstPort)] {
		return Pass, Flow{}
	}
	f.Cause, f.Opens = TCP, b[13]&(flagSYN|flagACK) == flagSYN
	if b[13]&flagRST != 0 { // a reset is never answered
		return Drop, f
	}
	return Reset, f
}
