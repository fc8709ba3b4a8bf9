package gateway

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func testGuard(t testing.TB) *Guard {
	t.Helper()
	return understood(t).guard
}

func ether(g *Guard, dst MAC, kind uint16, payload ...byte) []byte {
	f := append(append([]byte{}, dst[:]...), g.GuestMAC[:]...)
	return append(binary.BigEndian.AppendUint16(f, kind), payload...)
}

func ipFrame(g *Guard, dst netip.Addr, proto byte, payload []byte) []byte {
	d, s := dst.As4(), g.Guest.As4()
	ip := []byte{0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, proto, 0, 0, s[0], s[1], s[2], s[3], d[0], d[1], d[2], d[3]}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(payload)))
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(0, ip)))
	return ether(g, g.GatewayMAC, typeIPv4, append(ip, payload...)...)
}

func tcpFrame(g *Guard, dst netip.Addr, from, to uint16, flags byte) []byte {
	b := make([]byte, tcpLen)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint32(b[4:], 1000)
	b[12], b[13], b[14] = 0x50, flags, 0xff
	return ipFrame(g, dst, protoTCP, b)
}

func udpFrame(g *Guard, dst netip.Addr, from, to uint16) []byte {
	b := make([]byte, udpLen+4)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return ipFrame(g, dst, protoUDP, b)
}

func arpFrame(g *Guard, sender, target netip.Addr) []byte {
	s, d := sender.As4(), target.As4()
	p := append([]byte("\x00\x01\x08\x00\x06\x04\x00\x01"), g.GuestMAC[:]...)
	p = append(append(p, s[:]...), make([]byte, 6)...)
	return ether(g, broadcastMAC, typeARP, append(p, d[:]...)...)
}

// changed is a frame with other bytes from a place on.
func changed(f []byte, at int, with ...byte) []byte {
	f = bytes.Clone(f)
	copy(f[at:], with)
	return f
}

func TestJudge(t *testing.T) {
	g := testGuard(t)
	side, gate, out := netip.MustParseAddr("10.213.1.2"), g.Gateway, netip.MustParseAddr("203.0.113.7")
	good := tcpFrame(g, side, 4000, 9099, flagSYN)
	dhcp := changed(changed(udpFrame(g, netip.MustParseAddr("255.255.255.255"), 68, 67), 0, broadcastMAC[:]...), 26, 0, 0, 0, 0)
	for name, tc := range map[string]struct {
		frame []byte
		want  Verdict
		cause Cause
	}{
		"to a sidecar":             {good, Pass, ""},
		"resolver":                 {udpFrame(g, gate, 4000, 53), Pass, ""},
		"resolver over TCP":        {tcpFrame(g, gate, 4000, 53, flagSYN), Pass, ""},
		"who is the sidecar":       {arpFrame(g, g.Guest, side), Pass, ""},
		"DHCP":                     {dhcp, Pass, ""},
		"DHCP renewal":             {udpFrame(g, gate, 68, 67), Pass, ""},
		"the internet":             {tcpFrame(g, out, 4000, 443, flagSYN), Reset, TCP},
		"another port":             {tcpFrame(g, side, 4000, 22, flagSYN), Reset, TCP},
		"a reset":                  {tcpFrame(g, out, 4000, 443, flagRST), Drop, TCP},
		"resolver of others":       {udpFrame(g, out, 4000, 53), Drop, UDP},
		"resolver at the sidecar":  {udpFrame(g, side, 4000, 53), Drop, UDP},
		"QUIC":                     {udpFrame(g, out, 4000, 443), Drop, UDP},
		"DHCP elsewhere":           {udpFrame(g, out, 68, 67), Drop, UDP},
		"ping":                     {ipFrame(g, gate, protoICMP, make([]byte, 8)), Drop, ICMP},
		"GRE":                      {ipFrame(g, out, 47, make([]byte, 8)), Drop, UnknownProto},
		"IPv6":                     {ether(g, g.GatewayMAC, typeIPv6, make([]byte, 40)...), Drop, IPv6},
		"VLAN":                     {ether(g, g.GatewayMAC, 0x8100, make([]byte, 40)...), Drop, EtherType},
		"nothing":                  {nil, Drop, Runt},
		"13 bytes":                 {good[:13], Drop, Runt},
		"no IP header":             {good[:14+19], Drop, Runt},
		"cut off":                  {good[:len(good)-1], Drop, Malformed},
		"too long":                 {append(bytes.Clone(good), make([]byte, 1500)...), Drop, Giant},
		"padded":                   {append(bytes.Clone(good), 0, 0, 0, 0), Pass, ""},
		"another card":             {changed(good, 6, 2), Drop, ForeignMAC},
		"to another card":          {changed(good, 0, 2), Drop, ForeignMAC},
		"to all cards":             {changed(good, 0, broadcastMAC[:]...), Drop, ForeignMAC},
		"another source":           {changed(good, 26, 10, 213, 1, 4), Drop, ForeignIP},
		"the sidecar as source":    {changed(good, 26, 10, 213, 1, 2), Drop, ForeignIP},
		"IP version 6 in IPv4":     {changed(good, 14, 0x65), Drop, Malformed},
		"options":                  {changed(good, 14, 0x46), Drop, Options},
		"short header":             {changed(good, 14, 0x44), Drop, Malformed},
		"first fragment":           {changed(good, 20, 0x20), Drop, Fragment},
		"later fragment":           {changed(good, 20, 0, 1), Drop, Fragment},
		"TCP header too short":     {changed(good, 14+20+12, 0x40), Drop, Malformed},
		"TCP header too long":      {changed(good, 14+20+12, 0xf0), Drop, Malformed},
		"who is the neighbour":     {arpFrame(g, g.Guest, netip.MustParseAddr("10.213.1.9")), Drop, ARP},
		"I am the sidecar":         {arpFrame(g, side, side), Drop, ARP},
		"an answer to no question": {changed(arpFrame(g, g.Guest, side), 14+6, 0, 2), Drop, ARP},
		"ARP of another card":      {changed(arpFrame(g, g.Guest, side), 14+8, 2), Drop, ARP},
		"short ARP":                {arpFrame(g, g.Guest, side)[:14+27], Drop, Runt},
	} {
		got, flow := g.Judge(tc.frame)
		if got != tc.want || flow.Cause != tc.cause {
			t.Errorf("%s: %v %q, want %v %q", name, got, flow.Cause, tc.want, tc.cause)
		}
	}
}

func TestResetIsWellFormed(t *testing.T) {
	g := testGuard(t)
	out := netip.MustParseAddr("203.0.113.7")
	for name, tc := range map[string]struct {
		flags    byte
		seq, ack uint32
		want     header.TCPFlags
	}{
		"SYN": {flagSYN, 0, 1001, header.TCPFlagRst | header.TCPFlagAck},
		"ACK": {flagACK, 7, 0, header.TCPFlagRst},
	} {
		frame := tcpFrame(g, out, 4000, 443, tc.flags)
		binary.BigEndian.PutUint32(frame[14+20+8:], 7)
		f := resetFor(frame)
		ip, tcp := header.IPv4(f[14:]), header.TCP(f[34:])
		if !ip.IsValid(len(f)-14) || !ip.IsChecksumValid() || ip.SourceAddress() != address(out) || ip.DestinationAddress() != address(g.Guest) {
			t.Errorf("%s: IP %x", name, f)
		}
		if !tcp.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), checksum.Checksum(nil, 0), 0) {
			t.Errorf("%s: the checksum is wrong", name)
		}
		if tcp.SourcePort() != 443 || tcp.DestinationPort() != 4000 || tcp.Flags() != tc.want || tcp.SequenceNumber() != tc.seq || tcp.AckNumber() != tc.ack {
			t.Errorf("%s: %v seq %d ack %d", name, tcp.Flags(), tcp.SequenceNumber(), tcp.AckNumber())
		}
	}
}

func FuzzJudge(f *testing.F) {
	g := testGuard(f)
	side, out := netip.MustParseAddr("10.213.1.2"), netip.MustParseAddr("203.0.113.7")
	for _, frame := range [][]byte{
		tcpFrame(g, side, 4000, 9099, flagSYN), tcpFrame(g, out, 4000, 443, flagSYN), udpFrame(g, out, 68, 67),
		udpFrame(g, g.Gateway, 1, 53), arpFrame(g, g.Guest, side), ipFrame(g, out, protoICMP, nil), {},
	} {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		v, flow := g.Judge(frame)
		if !bytes.Equal(frame, before) {
			t.Fatal("the frame was changed")
		}
		switch v {
		case Pass:
			passes(t, g, frame)
		case Reset:
			r := resetFor(frame)
			ip := header.IPv4(r[etherLen:])
			if len(r) != 54 || !ip.IsValid(40) || ip.DestinationAddress() != address(g.Guest) || MAC(r[:6]) != g.GuestMAC {
				t.Fatalf("a reset for somebody else: %x", r)
			}
		case Drop:
			if flow.Cause == "" {
				t.Fatal("dropped without a cause")
			}
		}
	})
}

// passes holds a frame that passes against another reading of it, gVisor's.
func passes(t *testing.T, g *Guard, frame []byte) {
	eth := header.Ethernet(frame)
	if eth.SourceAddress() != header.Ethernet(ether(g, g.GatewayMAC, 0)).SourceAddress() {
		t.Fatal("from another card")
	}
	if eth.Type() == header.ARPProtocolNumber {
		return
	}
	ip := header.IPv4(frame[etherLen:])
	if !ip.IsValid(len(frame)-etherLen) || ip.HeaderLength() != 20 || ip.More() || ip.FragmentOffset() != 0 {
		t.Fatalf("an odd packet passed: %x", frame)
	}
	payload := ip.Payload()
	switch ip.TransportProtocol() {
	case header.TCPProtocolNumber:
		a := netip.AddrFrom4(ip.DestinationAddress().As4())
		if !g.Ports[netip.AddrPortFrom(a, header.TCP(payload).DestinationPort())] || ip.SourceAddress() != address(g.Guest) {
			t.Fatal("a connection to what is not forwarded")
		}
	case header.UDPProtocolNumber:
		if p := header.UDP(payload).DestinationPort(); p != 53 && p != 67 {
			t.Fatalf("a datagram for port %d", p)
		}
	default:
		t.Fatal("another protocol passed")
	}
}
