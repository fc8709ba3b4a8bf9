package verify

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
)

// mac is a hardware address.
type mac [6]byte

// Hardware addresses that are nobody's on a link of a bottle's.
var (
	strange   = mac{0x02, 0xba, 0xdb, 0xad, 0xba, 0xd0}
	everybody = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

// Types of frames and protocols in packets that are made or read here.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd

	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17

	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// ether is a frame.
func ether(dst, src mac, kind uint16, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16(append(slices.Clone(dst[:]), src[:]...), kind), payload...)
}

// packet is an IPv4 packet.
type packet struct {
	src, dst netip.Addr
	proto    byte
	options  []byte // a multiple of four bytes
	fragment uint16 // flags and offset
	body     []byte
}

// bytes puts a packet together.
func (p packet) bytes() []byte {
	b := make([]byte, 20, 20+len(p.options)+len(p.body))
	b[0], b[8], b[9] = byte(0x45+len(p.options)/4), 64, p.proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(p.options)+len(p.body)))
	binary.BigEndian.PutUint16(b[4:], 0x6270)
	binary.BigEndian.PutUint16(b[6:], p.fragment)
	src, dst := p.src.As4(), p.dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	b = append(b, p.options...)
	binary.BigEndian.PutUint16(b[10:], ^folded(0, b))
	return append(b, p.body...)
}

// tcp is a segment between two ports.
func (p packet) tcp(from, to uint16, flags byte) packet {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to)
	b = append(b, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	src, dst := p.src.As4(), p.dst.As4()
	pseudo := append(append(append([]byte{}, src[:]...), dst[:]...), 0, protoTCP, 0, byte(len(b)))
	binary.BigEndian.PutUint16(b[16:], ^folded(uint32(folded(0, pseudo)), b))
	p.proto, p.body = protoTCP, b
	return p
}

// udp is a datagram between two ports, without a checksum.
func (p packet) udp(from, to uint16, data []byte) packet {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to)
	b = append(binary.BigEndian.AppendUint16(b, uint16(8+len(data))), 0, 0)
	p.proto, p.body = protoUDP, append(b, data...)
	return p
}

// padded is a packet with data behind it, as long as a link carries.
func (p packet) padded(mtu int) []byte {
	b := p.bytes()
	return append(b, make([]byte, mtu-len(b))...)
}

// icmp is a message of a kind.
func (p packet) icmp(kind, code byte, rest ...byte) packet {
	b := append([]byte{kind, code, 0, 0}, rest...)
	binary.BigEndian.PutUint16(b[2:], ^folded(0, b))
	p.proto, p.body = protoICMP, b
	return p
}

// arp is a message that maps an address to a card: a question (1) or an answer (2).
func arp(op uint16, card mac, address netip.Addr, askedCard mac, asked netip.Addr) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 1, 8, 0, 6, 4}, op)
	from, to := address.As4(), asked.As4()
	return append(append(append(append(b, card[:]...), from[:]...), askedCard[:]...), to[:]...)
}

// folded is the ones' complement sum of b, on top of another.
func folded(s uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// portOf is the port that belongs to a token: its last digits say which.
func portOf(token string) uint16 {
	const digits = 3
	n, _ := strconv.Atoi(token[max(0, len(token)-digits):])
	return uint16(40000 + n)
}

// answer says in what way a frame that the machine was sent answers what came from a
// port of its own, "" when it does not. Resets are refusals, and the gateway answers
// who it is itself.
func (m *vmachine) answer(frame []byte, port uint16) string {
	const header = 14
	if len(frame) < header {
		return ""
	}
	b := frame[header:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeARP:
		if len(b) >= 28 && binary.BigEndian.Uint16(b[6:]) == 2 && !slices.Contains(m.served, netip.AddrFrom4([4]byte(b[14:18]))) {
			return "the card of " + netip.AddrFrom4([4]byte(b[14:18])).String()
		}
		return ""
	case typeIPv4:
	default:
		return "a frame of the type 0x" + strconv.FormatUint(uint64(binary.BigEndian.Uint16(frame[12:])), 16)
	}
	if len(b) < 20 || len(b) < int(b[0]&15)*4 {
		return ""
	}
	return answerTo(b, b[int(b[0]&15)*4:], port)
}

// answerTo is [vmachine.answer] for a packet and what it carries.
func answerTo(p, body []byte, port uint16) string {
	from := netip.AddrFrom4([4]byte(p[12:16])).String()
	const ports, flags = 4, 14 // bytes up to there
	switch p[9] {
	case protoTCP:
		if len(body) >= flags && binary.BigEndian.Uint16(body[2:]) == port && body[13]&flagRST == 0 {
			return "TCP from " + from
		}
	case protoUDP:
		if len(body) >= ports && binary.BigEndian.Uint16(body[2:]) == port {
			return "UDP from " + from
		}
	case protoICMP:
		return "ICMP from " + from
	default:
		return "the IP protocol " + strconv.Itoa(int(p[9])) + " from " + from
	}
	return ""
}
