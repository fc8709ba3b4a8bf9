package gateway

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// play makes frames out of a script: each step is a kind, a length, and as many bytes.
// Most frames are such as pass, so that what is behind the guard reads them.
type play struct {
	g      *Guard
	script []byte
	// port, seq and ack are where the guest's connection is.
	port     uint16
	seq, ack uint32
}

func (p *play) byte() (b byte) {
	if len(p.script) > 0 {
		b, p.script = p.script[0], p.script[1:]
	}
	return b
}

func (p *play) bytes() []byte {
	n := min(int(p.byte()), len(p.script))
	b := p.script[:n]
	p.script = p.script[n:]
	return b
}

// next is the next frame, nil at the end.
func (p *play) next() []byte {
	if len(p.script) == 0 {
		return nil
	}
	side, all := netip.MustParseAddr("10.213.1.2"), netip.AddrFrom4([4]byte{255, 255, 255, 255})
	switch p.byte() % 8 {
	case 0: // of any kind
		return append([]byte{}, p.bytes()...)
	case 1:
		return ipFrame(p.g, side, p.byte(), p.bytes())
	case 2: // DHCP, behind what each message begins with
		b := append(make([]byte, 236), 0x63, 0x82, 0x53, 0x63)
		b[0], b[1], b[2] = 1, 1, 6
		copy(b[28:], p.g.GuestMAC[:])
		f := ipFrame(p.g, all, protoUDP, datagram(68, 67, append(b, p.bytes()...)))
		copy(f, broadcastMAC[:])
		return f
	case 3:
		return ipFrame(p.g, p.g.Gateway, protoUDP, datagram(68, 67, p.bytes()))
	case 4:
		return ipFrame(p.g, p.g.Gateway, protoUDP, datagram(uint16(p.byte()), 53, p.bytes()))
	case 5:
		return ether(p.g, broadcastMAC, typeARP, append(arpFrame(p.g, p.g.Guest, side)[etherLen:], p.bytes()...)...)
	case 6: // a connection of its own
		return p.segment(3000+uint16(p.byte()), []uint16{9099, 53}[p.byte()%2], uint32(p.byte()), uint32(p.byte()))
	default: // a segment of the connection
		return p.segment(p.port, 9099, p.seq+uint32(int8(p.byte())), p.ack+uint32(int8(p.byte())))
	}
}

func (p *play) segment(from, to uint16, seq, ack uint32) []byte {
	to4 := netip.MustParseAddr("10.213.1.2")
	if to == 53 {
		to4 = p.g.Gateway
	}
	f := tcpFrame(p.g, to4, from, to, p.byte())
	binary.BigEndian.PutUint32(f[etherLen+atSeq:], seq)
	binary.BigEndian.PutUint32(f[etherLen+atAck:], ack)
	f[etherLen+atFlags+1], f[etherLen+atFlags+2] = p.byte(), p.byte()
	options := p.bytes()
	options = options[:min(len(options)/4*4, 40)]
	f[etherLen+atFlags-1] = byte(5+len(options)/4) << 4
	f = append(append(f, options...), p.bytes()...)
	binary.BigEndian.PutUint16(f[etherLen+atTotal:], uint16(len(f)-etherLen))
	return f
}

func datagram(from, to uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to)
	return append(append(binary.BigEndian.AppendUint16(b, uint16(udpLen+len(data))), 0, 0), data...)
}

// FuzzGuest has a guest with a connection send anything to a whole gateway: the guard,
// the network stack, the DHCP server and the resolver. All frames are worked off, and the
// next guest is served.
func FuzzGuest(f *testing.F) {
	f.Add([]byte{7, 0, 0, flagACK, 1, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 7, 5, 0, flagACK | flagFIN, 1, 0, 0, 0})
	f.Add([]byte{2, 4, 53, 1, 1, 255, 2, 10, 53, 1, 3, 50, 4, 10, 213, 1, 2, 255})
	f.Add([]byte("\x04\x01\x18\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06egress\x00\x00\x01\x00\x01"))
	f.Add([]byte{6, 1, 0, 9, 0, flagSYN, 255, 255, 12, 2, 4, 5, 180, 3, 3, 7, 1, 4, 2, 1, 1, 0, 5, 0, 1, 17, 3, 1, 2, 3, 0, 3, 1, 2, 3})
	c := config(testkit.Serve(f, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), 1500)
	gw, _ := newGateway(f, c)
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newBare(t, gw, 1460)
		b.mu.Lock()
		p := &play{g: gw.net.guard, script: script, port: b.port, seq: b.next, ack: b.want}
		b.mu.Unlock()
		want := gw.link.counters.frames.Load() // what a connection begins with may still be on its way
		for frame := p.next(); frame != nil; frame = p.next() {
			b.write(t, frame)
			want++
		}
		for end := time.Now().Add(10 * time.Second); gw.link.counters.frames.Load() < want; time.Sleep(50 * time.Microsecond) {
			if time.Now().After(end) {
				t.Fatalf("%d of %d frames were worked off", gw.link.counters.frames.Load(), want)
			}
		}
	})
}
