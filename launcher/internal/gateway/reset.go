package gateway

import (
	"encoding/binary"
)

// resetFor makes the frame that refuses a TCP segment, which [Guard.Judge] has
// answered with [Reset]: the other end of the segment's addresses says that
// nobody is there (RFC 9293, 3.10.7.1). No state is kept for it.
func resetFor(frame []byte) []byte {
	p := frame[etherLen:]
	seg := p[ipLen:binary.BigEndian.Uint16(p[2:])]
	out := make([]byte, etherLen+ipLen+tcpLen)
	copy(out[0:6], frame[6:12])
	copy(out[6:12], frame[0:6])
	binary.BigEndian.PutUint16(out[12:], typeIPv4)

	ip := out[etherLen:]
	ip[0], ip[8], ip[9] = 0x45, 64, protoTCP
	binary.BigEndian.PutUint16(ip[2:], ipLen+tcpLen)
	copy(ip[12:16], p[16:20])
	copy(ip[16:20], p[12:16])
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(0, ip[:ipLen])))

	tcp := ip[ipLen:]
	copy(tcp[0:2], seg[2:4])
	copy(tcp[2:4], seg[0:2])
	tcp[12] = tcpLen / 4 << 4
	if flags := seg[13]; flags&flagACK != 0 {
		copy(tcp[4:8], seg[8:12]) // from where the guest waits
		tcp[13] = flagRST
	} else {
		next := binary.BigEndian.Uint32(seg[4:]) + uint32(len(seg)-int(seg[12]>>4)*4)
		for _, f := range []byte{flagSYN, flagFIN} {
			if flags&f != 0 {
				next++
			}
		}
		binary.BigEndian.PutUint32(tcp[8:], next)
		tcp[13] = flagRST | flagACK
	}
	pseudo := sum(protoTCP+tcpLen, ip[12:20])
	binary.BigEndian.PutUint16(tcp[16:], ^fold(sum(pseudo, tcp)))
	return out
}

// sum adds up the words of b, which has an even length.
func sum(s uint32, b []byte) uint32 {
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	return s
}

// fold makes the ones' complement sum out of s.
func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
