package verify

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/bottlesuite/bottle/internal/wire"
)

// frames is an attempt of somebody who has taken over the kernel of a machine: what
// goes over its card is up to them. The gateway must drop each frame for a cause.
func frames(id, words, cause string, build func(*framer) [][]byte) *attempt {
	return &attempt{id: id, words: words, cause: cause, in: machine, users: []string{root}, judge: judgeFrames,
		plan: func(v *view) (wire.ProbeTask, string) {
			f := &framer{view: v, vmachine: v.machine, port: portOf(v.token)}
			return wire.ProbeTask{Tool: linkTool, Link: &wire.ProbeLink{Frames: build(f)}}, ""
		}}
}

// framer makes frames of a machine's.
type framer struct {
	*view
	*vmachine
	port uint16 // which answers are known by
}

// own is a packet of the machine's own.
func (f *framer) own(dst netip.Addr) packet { return packet{src: f.guest, dst: dst} }

// ip puts a packet on the link as the machine would.
func (f *framer) ip(p packet) []byte { return ether(f.gatewayMAC, f.guestMAC, typeIPv4, p.bytes()) }

// proxyAt is the address of the proxy, which the gateway serves.
func (f *framer) proxyAt() netip.Addr { return f.served[min(1, len(f.served)-1)] }

// proxyPort is a port that is forwarded.
func (f *framer) proxyPort() uint16 {
	if f.egress != nil {
		return 9099
	}
	return 8888
}

// syn asks the proxy for a connection, from any address.
func (f *framer) syn(src netip.Addr) packet {
	return packet{src: src, dst: f.proxyAt()}.tcp(f.port, f.proxyPort(), flagSYN)
}

// said is what a datagram to the host carries.
func (f *framer) said() []byte { return []byte(f.token) }

// hosts are addresses by which a guest may look for this host, with its loopback and
// those that emulators and gvproxy give to it.
func (f *framer) hosts() (list []netip.Addr) {
	for _, text := range append(f.hostAddresses(), "127.0.0.1", "10.0.2.2", "192.168.127.254", "192.168.127.1") {
		if a, err := netip.ParseAddr(text); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// toHosts makes a frame for each address of the host.
func (f *framer) toHosts(make func(packet) packet) (list [][]byte) {
	for _, a := range f.hosts() {
		list = append(list, f.ip(make(f.own(a))))
	}
	return list
}

// unserved are addresses of the link that nobody has.
func (f *framer) unserved() (list []netip.Addr) {
	const some = 4
	for a := f.gateway.Next(); len(list) < some; a = a.Next() {
		if a != f.guest && !slices.Contains(f.served, a) {
			list = append(list, a)
		}
	}
	return list
}

var documentation = netip.MustParseAddr(nobody)

// linkAttempts put frames on the card of a machine.
func linkAttempts() []*attempt {
	return slices.Concat([]*attempt{
		frames("frame-card", "frames from another card", "foreign-mac", func(f *framer) [][]byte {
			return [][]byte{
				ether(f.gatewayMAC, strange, typeIPv4, f.syn(f.guest).bytes()),
				ether(f.gatewayMAC, f.gatewayMAC, typeIPv4, f.syn(f.guest).bytes()),
				ether(f.gatewayMAC, strange, typeARP, arp(1, strange, f.guest, mac{}, f.gateway)),
			}
		}),
		frames("frame-to-card", "frames for other cards and for groups of cards", "foreign-mac", func(f *framer) [][]byte {
			list := [][]byte{ether(mac{1, 0x80, 0xc2, 0, 0, 0}, f.guestMAC, 0x0026, make([]byte, 38))} // spanning tree
			for _, to := range []mac{strange, {1, 0, 0x5e, 0, 0, 0xfb}, {0x33, 0x33, 0, 0, 0, 1}} {
				list = append(list, ether(to, f.guestMAC, typeIPv4, f.own(documentation).udp(f.port, uint16(f.ear.port), f.said()).bytes()))
			}
			return list
		}),
		frames("frame-broadcast", "connections and datagrams to everybody's card", "foreign-mac", func(f *framer) [][]byte {
			all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
			return [][]byte{
				ether(everybody, f.guestMAC, typeIPv4, f.own(all).udp(f.port, uint16(f.ear.port), f.said()).bytes()),
				ether(everybody, f.guestMAC, typeIPv4, f.syn(f.guest).bytes()),
			}
		}),
		frames("frame-address", "packets from other addresses: a neighbour's, the gateway's, the proxy's, the host's", "foreign-source", func(f *framer) [][]byte {
			var list [][]byte
			for _, a := range append(append(f.unserved(), f.gateway, f.proxyAt(), documentation), f.hosts()...) {
				list = append(list, f.ip(f.syn(a)))
			}
			return append(list, f.ip(packet{src: f.gateway, dst: f.gateway}.tcp(f.port, 53, flagSYN)))
		}),
		frames("frame-ipv6", "IPv6: neighbours, routers, datagrams", "ipv6", ipv6Frames),
		frames("frame-vlan", "frames of virtual networks, tagged once and twice", "ethertype", func(f *framer) [][]byte {
			inner := append([]byte{0, 1, 8, 0}, f.syn(f.guest).bytes()...)
			return [][]byte{
				ether(f.gatewayMAC, f.guestMAC, 0x8100, inner),
				ether(f.gatewayMAC, f.guestMAC, 0x88a8, append([]byte{0, 1, 0x81, 0}, inner...)),
			}
		}),
		frames("frame-types", "frames of other kinds: LLDP, 802.1X, PPPoE, MPLS, WoL, a length for a type", "ethertype", func(f *framer) (list [][]byte) {
			for _, kind := range []uint16{0x88cc, 0x888e, 0x8863, 0x8847, 0x0842, 0x0040, 0x9000} {
				list = append(list, ether(f.gatewayMAC, f.guestMAC, kind, append(f.said(), make([]byte, 46)...)))
			}
			return list
		}),
		frames("frame-giant", "frames that are longer than the link's, by a tag", "giant", func(f *framer) [][]byte {
			// Four bytes more is what a kernel's own card lets through.
			return [][]byte{ether(f.gatewayMAC, f.guestMAC, 0x8100, append([]byte{0, 1, 8, 0}, f.syn(f.guest).padded(f.mtu)...))}
		}),
	}, brokenAttempts(), carriedAttempts(), neighbourAttempts())
}

// ipv6Frames are what a machine without IPv6 does not send.
func ipv6Frames(f *framer) [][]byte {
	head := func(next byte, to [16]byte, body []byte) []byte {
		b := append([]byte{0x60, 0, 0, 0}, byte(len(body)>>8), byte(len(body)), next, 255)
		from := netip.MustParseAddr("fe80::1:2").As16()
		return append(append(append(b, from[:]...), to[:]...), body...)
	}
	all := netip.MustParseAddr("ff02::1").As16()
	var list [][]byte
	for _, kind := range []byte{133, 135, 136} { // solicitations, an advertisement
		list = append(list, ether(mac{0x33, 0x33, 0, 0, 0, 1}, f.guestMAC, typeIPv6, head(58, all, append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, all[:]...))))
	}
	datagram := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, f.port), uint16(f.ear.port))
	datagram = append(binary.BigEndian.AppendUint16(datagram, uint16(8+len(f.token))), 0, 0)
	datagram = append(datagram, f.token...)
	for _, to := range []string{"ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"} {
		list = append(list, ether(f.gatewayMAC, f.guestMAC, typeIPv6, head(protoUDP, netip.MustParseAddr(to).As16(), datagram)))
	}
	return list
}

// brokenAttempts send packets that have two readings, or none.
func brokenAttempts() []*attempt {
	return []*attempt{
		frames("frame-short", "packets that end within their own headers", "runt", func(f *framer) [][]byte {
			tcp, udp := f.syn(f.guest), f.own(f.gateway).udp(f.port, 53, nil)
			tcp.body, udp.body = tcp.body[:12], udp.body[:4]
			return [][]byte{f.ip(tcp), f.ip(udp)}
		}),
		frames("frame-malformed", "packets whose headers lie: lengths, versions, offsets", "malformed", func(f *framer) (list [][]byte) {
			for _, change := range []func(b []byte){
				func(b []byte) { b[0] = 0x44 }, func(b []byte) { b[0] = 0x65 },
				func(b []byte) { binary.BigEndian.PutUint16(b[2:], 0xffff) }, func(b []byte) { binary.BigEndian.PutUint16(b[2:], 4) },
				func(b []byte) { b[32] = 1 << 4 }, func(b []byte) { b[32] = 15 << 4 },
			} {
				b := f.syn(f.guest).bytes()
				change(b)
				list = append(list, ether(f.gatewayMAC, f.guestMAC, typeIPv4, b))
			}
			return list
		}),
		frames("frame-fragments", "a connection in fragments, one of them over the header of another", "fragment", func(f *framer) [][]byte {
			whole := f.syn(f.guest)
			head, tail := whole, whole
			head.fragment, head.body = 0x2000, whole.body[:8]
			tail.fragment, tail.body = 1, whole.body[8:]
			over := whole
			over.fragment = 0x2001
			return [][]byte{f.ip(head), f.ip(tail), f.ip(over)}
		}),
		frames("frame-options", "a way through others: source routes, recorded routes, router alerts", "ip-options", func(f *framer) (list [][]byte) {
			via := f.proxyAt().As4()
			for _, o := range [][]byte{
				{0x83, 7, 4, via[0], via[1], via[2], via[3], 0}, {0x89, 7, 4, via[0], via[1], via[2], via[3], 0}, {0x07, 7, 4, 0, 0, 0, 0, 0}, {0x94, 4, 0, 0},
			} {
				p := f.syn(f.guest)
				p.options = o
				list = append(list, f.ip(p))
			}
			return list
		}),
	}
}

// carriedAttempts send what a router would carry.
func carriedAttempts() []*attempt {
	return []*attempt{
		frames("frame-icmp", "ICMP: echo, redirects, timestamps, to the gateway, the proxy and out", "icmp", func(f *framer) (list [][]byte) {
			for _, to := range []netip.Addr{f.gateway, f.proxyAt(), documentation} {
				list = append(list, f.ip(f.own(to).icmp(8, 0, append([]byte{0, 1, 0, 1}, f.token...)...)), f.ip(f.own(to).icmp(13, 0, make([]byte, 16)...)))
			}
			return append(list, f.ip(f.own(f.gateway).icmp(5, 1, append([]byte{10, 0, 0, 1}, f.syn(f.guest).bytes()[:28]...)...)))
		}),
		frames("frame-protocols", "tunnels and other protocols: IP in IP, GRE, ESP, SCTP, IGMP, OSPF", "protocol", func(f *framer) (list [][]byte) {
			inner := packet{src: f.gateway, dst: f.proxyAt()}.tcp(f.port, f.proxyPort(), flagSYN).bytes()
			for _, proto := range []byte{4, 47, 50, 132, 2, 89, 41} {
				p := f.own(f.proxyAt())
				p.proto, p.body = proto, inner
				list = append(list, f.ip(p))
			}
			return list
		}),
		frames("frame-udp", "datagrams to every address of this host, its loopback, the gateway and the proxy", "udp", func(f *framer) [][]byte {
			list := f.toHosts(func(p packet) packet { return p.udp(f.port, uint16(f.ear.port), f.said()) })
			for _, port := range []uint16{67, 69, 123, 137, 161, 443, 500, 1900, 4789, 5353, 9099} {
				list = append(list, f.ip(f.own(f.gateway).udp(f.port, port, f.said())), f.ip(f.own(f.proxyAt()).udp(f.port, port, f.said())))
			}
			return list
		}),
		frames("frame-largest", "the largest datagram that the link carries, to the host", "udp", func(f *framer) [][]byte {
			data := append(f.said(), make([]byte, f.mtu-28-len(f.token))...)
			return [][]byte{f.ip(f.own(f.hosts()[0]).udp(f.port, uint16(f.ear.port), data))}
		}),
		frames("frame-tcp", "connections to every address of this host and its loopback, past the machine's kernel", "tcp", func(f *framer) [][]byte {
			return f.toHosts(func(p packet) packet { return p.tcp(f.port, uint16(f.ear.port), flagSYN) })
		}),
		frames("frame-tcp-odd", "segments of no connection: ACK, FIN, none, all flags", "tcp", func(f *framer) (list [][]byte) {
			for _, flags := range []byte{flagACK, 1, 0, 0x29, flagSYN | flagACK, 0x3f &^ flagRST} {
				list = append(list, f.toHosts(func(p packet) packet { return p.tcp(f.port, uint16(f.ear.port), flags) })...)
			}
			return list
		}),
		frames("gateway-control", "a control API of the gateway's, where gvproxy has its own, and its admin port", "tcp", func(f *framer) (list [][]byte) {
			for _, a := range []netip.Addr{f.gateway, f.proxyAt(), netip.MustParseAddr("192.168.127.1"), netip.MustParseAddr("192.168.127.254")} {
				for _, port := range []uint16{22, 80, 443, 2222, 8080, 9905} {
					list = append(list, f.ip(f.own(a).tcp(f.port, port, flagSYN)))
				}
			}
			return list
		}),
	}
}

// neighbourAttempts go for who has which address.
func neighbourAttempts() []*attempt {
	lease := frames("dhcp-address", "the proxy's address by DHCP", "", func(f *framer) [][]byte {
		return [][]byte{f.dhcp(3, f.proxyAt()), f.dhcp(3, f.gateway), f.dhcp(1, f.proxyAt())}
	})
	lease.judge = judgeLease
	return []*attempt{
		frames("arp-poison", "to be the gateway and the proxy: answers that nobody asked for", "arp", func(f *framer) [][]byte {
			return [][]byte{
				ether(f.gatewayMAC, f.guestMAC, typeARP, arp(2, f.guestMAC, f.proxyAt(), f.gatewayMAC, f.gateway)),
				ether(everybody, f.guestMAC, typeARP, arp(2, f.guestMAC, f.gateway, everybody, f.gateway)),
				ether(everybody, f.guestMAC, typeARP, arp(1, f.guestMAC, f.proxyAt(), mac{}, f.proxyAt())),
				ether(f.gatewayMAC, f.guestMAC, typeARP, arp(2, f.guestMAC, f.guest, f.gatewayMAC, f.gateway)),
			}
		}),
		frames("arp-foreign", "the cards of others: neighbours, the host, the internet", "arp", func(f *framer) (list [][]byte) {
			for _, a := range append(append(f.unserved(), documentation), f.hosts()...) {
				list = append(list, ether(everybody, f.guestMAC, typeARP, arp(1, f.guestMAC, f.guest, mac{}, a)))
			}
			return list
		}),
		frames("dhcp-server", "to be the DHCP server", "udp", func(f *framer) [][]byte {
			offer := f.dhcp(1, f.guest)[14+28:]
			offer[0] = 2
			return [][]byte{f.ip(f.own(f.gateway).udp(67, 68, offer)), f.ip(f.own(f.gateway).udp(67, 67, offer))}
		}),
		lease,
	}
}

// dhcp is a message of the machine's that asks for an address.
func (f *framer) dhcp(kind byte, want netip.Addr) []byte {
	b := make([]byte, 236)
	b[0], b[1], b[2] = 1, 1, 6
	binary.BigEndian.PutUint32(b[4:], uint32(f.port)<<16|0x4242)
	copy(b[28:], f.guestMAC[:])
	a := want.As4()
	b = append(b, 0x63, 0x82, 0x53, 0x63, 53, 1, kind, 50, 4, a[0], a[1], a[2], a[3], 55, 4, 1, 3, 6, 121, 255)
	all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return ether(everybody, f.guestMAC, typeIPv4, packet{src: netip.IPv4Unspecified(), dst: all}.udp(68, 67, b).bytes())
}

// judgeLease wants no address to be lent but the machine's own, and no gateway but
// the one there is.
func judgeLease(e *evidence, p *plan) (result, seen string) {
	if result, seen := judgeAnswers(e, p); result != Held {
		return result, seen
	}
	const message, lent = 14 + 28, 16
	answers := 0
	for _, frame := range e.link.heard {
		if len(frame) < message+lent+4 || binary.BigEndian.Uint16(frame[12:]) != typeIPv4 || frame[14+9] != protoUDP || binary.BigEndian.Uint16(frame[14+20+2:]) != 68 {
			continue
		}
		answers++
		a := netip.AddrFrom4([4]byte(frame[message+lent:]))
		if a != e.site.machine.guest && !a.IsUnspecified() {
			return Open, "the machine was lent " + a.String()
		}
	}
	if answers == 0 {
		return Error, "no DHCP server answered, so that it lends nothing proves nothing"
	}
	return Held, "it was lent its own address, and no other"
}
