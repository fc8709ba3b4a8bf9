package gateway

import "encoding/binary"

// maxPacket is the longest IP packet there is.
const maxPacket = 65535

// coalescer joins segments of one TCP stream that follow each other into one, as
// network cards do (generic receive offload). The stack then works off one packet
// instead of forty, and answers it once. It takes only what [Guard.Judge] has let
// pass, joins only what differs in nothing but its place in the stream, and holds
// at most one packet, for as long as further frames have arrived already.
type coalescer struct {
	packet [maxPacket]byte
	n      int // bytes of packet, 0 for none
	next   uint32
	full   bool // nothing may follow: the sender wants it to be delivered
}

// Places in an IPv4 packet without options, and in the TCP header behind it.
const (
	atTotal, atProto, atSum, atSrc = 2, 9, 10, 12
	atSeq, atAck, atFlags          = ipLen + 4, ipLen + 8, ipLen + 13
)

const flagPSH = 8

// segment returns where the data of a packet that can be joined begins, or 0.
func segment(p []byte) int {
	if len(p) < ipLen+tcpLen || p[0] != 0x45 || p[atProto] != protoTCP || p[atFlags]&^flagPSH != flagACK {
		return 0
	}
	if at := ipLen + int(p[atFlags-1]>>4)*4; at >= ipLen+tcpLen && at < len(p) {
		return at
	}
	return 0
}

// begin takes a packet to which others may be joined. The coalescer must be empty.
func (c *coalescer) begin(p []byte) bool {
	at := segment(p)
	if at == 0 || len(p) > maxPacket || p[atFlags]&flagPSH != 0 {
		return false
	}
	c.n, c.full = copy(c.packet[:], p), false
	c.next = binary.BigEndian.Uint32(p[atSeq:]) + uint32(len(p)-at)
	return true
}

// join appends a packet that continues the one that is held.
func (c *coalescer) join(p []byte) bool {
	at := segment(p)
	if c.n == 0 || c.full || at == 0 || c.n+len(p)-at > maxPacket || binary.BigEndian.Uint32(p[atSeq:]) != c.next {
		return false
	}
	held := c.packet[:c.n]
	switch {
	case p[1] != held[1], // type of service, which tells of congestion
		string(p[atSrc:atSeq]) != string(held[atSrc:atSeq]),             // addresses and ports
		string(p[atAck:atFlags]) != string(held[atAck:atFlags]),         // what it acknowledges, and its length
		string(p[atFlags+1:][:2]) != string(held[atFlags+1:][:2]),       // window
		string(p[ipLen+tcpLen-2:at]) != string(held[ipLen+tcpLen-2:at]): // urgent pointer, options
		return false
	}
	c.n += copy(c.packet[c.n:], p[at:])
	c.next += uint32(len(p) - at)
	if p[atFlags]&flagPSH != 0 {
		c.packet[atFlags] |= flagPSH
		c.full = true
	}
	return true
}

// take returns the packet that is held, if there is one, until the next begin. Its
// IP header is right again; the sum of TCP is not, which nobody looks at.
func (c *coalescer) take() []byte {
	p := c.packet[:c.n]
	if c.n == 0 {
		return nil
	}
	c.n = 0
	binary.BigEndian.PutUint16(p[atTotal:], uint16(len(p)))
	p[atSum], p[atSum+1] = 0, 0
	binary.BigEndian.PutUint16(p[atSum:], ^fold(sum(0, p[:ipLen])))
	return p
}
