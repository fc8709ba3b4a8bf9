package gateway

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/launcher/internal/framing"
)

// bare is a guest without a network stack: it makes the segments of one connection by
// hand, and costs next to nothing beside the gateway.
type bare struct {
	g    *Guard
	wire net.Conn
	// segment is a frame of the connection, behind its length, which is written over.
	segment []byte
	port    uint16
	next    uint32 // the sequence number of what is sent next
	out     []byte
	scale   uint8 // of the gateway's window

	mu     sync.Mutex
	moved  sync.Cond // the numbers below have changed
	acked  uint32
	window uint32
	again  int // acknowledgements of the same place
	ended  bool
	// got counts the bytes that came in order; it is acknowledged whenever none wait.
	got  int
	want uint32
	owed bool
}

// barePort is the last port that a bare guest has used. The gateway may remember the
// connections of earlier ones.
var barePort atomic.Uint32

// newBare attaches a bare guest to a gateway and connects it with the sidecar. Its
// segments carry size bytes.
func newBare(t testing.TB, gw *Gateway, size int) *bare {
	t.Helper()
	far, near := testkit.SocketPair(t)
	attached := make(chan struct{})
	go func() { defer close(attached); _ = gw.Attach(t.Context(), framing.NewStream(near)) }()
	t.Cleanup(func() { far.Close(); <-attached })
	b := &bare{g: gw.net.guard, wire: far, next: 1000, port: uint16(4000 + barePort.Add(1)%50000)}
	b.moved.L = &b.mu
	in := framing.NewStream(far)
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	syn := tcpFrame(b.g, gw.net.forwards[0].listen.Addr(), b.port, gw.net.forwards[0].listen.Port(), flagSYN)
	syn = append(syn, 2, 4, byte(size>>8), byte(size), 1, 3, 3, 7) // the segments' size, a window's scale
	syn[etherLen+ipLen+12] = 7 << 4
	binary.BigEndian.PutUint16(syn[etherLen+atTotal:], uint16(len(syn)-etherLen))
	b.write(t, syn)
	for {
		f, err := in.ReadFrame(1 << 17)
		if err != nil {
			t.Fatal(err)
		}
		if p := f[etherLen:]; p[atProto] == protoTCP && p[atFlags] == flagSYN|flagACK && binary.BigEndian.Uint16(p[ipLen+2:]) == b.port {
			b.accept(p, size)
			break
		}
	}
	_ = far.SetReadDeadline(time.Time{})
	b.write(t, b.segment[4:4+etherLen+ipLen+tcpLen])
	binary.BigEndian.PutUint16(b.segment[4+etherLen+atTotal:], uint16(len(b.segment)-4-etherLen))
	go b.listen(in)
	return b
}

// accept takes the gateway's answer, and makes the segment that follows all others.
func (b *bare) accept(p []byte, size int) {
	options := p[ipLen+tcpLen : ipLen+int(p[ipLen+12]>>4)*4]
	for len(options) > 1 {
		switch options[0] {
		case 0, 1:
			options = options[1:]
			continue
		case 3:
			b.scale = options[2]
		}
		options = options[options[1]:]
	}
	b.next++
	b.want = binary.BigEndian.Uint32(p[atSeq:]) + 1
	b.acked, b.window = b.next, uint32(binary.BigEndian.Uint16(p[atFlags+1:]))
	f := tcpFrame(b.g, b.g.Guest, b.port, 0, flagACK)
	copy(f[etherLen+16:], p[12:16])       // back to where it came from
	copy(f[etherLen+ipLen+2:], p[ipLen:]) // its port, and a sequence number that is set below
	binary.BigEndian.PutUint32(f[etherLen+atSeq:], b.next)
	binary.BigEndian.PutUint32(f[etherLen+atAck:], binary.BigEndian.Uint32(p[atSeq:])+1)
	f[etherLen+atFlags-1], f[etherLen+atFlags] = tcpLen/4<<4, flagACK
	f = append(f, make([]byte, size)...)
	b.segment = append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)
}

func (b *bare) write(t testing.TB, frame []byte) {
	if _, err := b.wire.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
		t.Fatal(err)
	}
}

// listen follows the gateway's acknowledgements.
func (b *bare) listen(in *framing.Stream) {
	for {
		f, err := in.ReadFrame(1 << 17)
		b.mu.Lock()
		if err != nil {
			b.ended = true
			b.moved.Broadcast()
			b.mu.Unlock()
			return
		}
		if p := f[etherLen:]; p[atProto] == protoTCP && p[atFlags]&flagACK != 0 && binary.BigEndian.Uint16(p[ipLen+2:]) == b.port {
			ack, window := binary.BigEndian.Uint32(p[atAck:]), uint32(binary.BigEndian.Uint16(p[atFlags+1:]))<<b.scale
			if ack == b.acked && window == b.window {
				b.again++
			}
			if ack != b.acked {
				b.again = 0
			}
			b.acked, b.window = ack, window
			b.receive(p, in.More())
			b.moved.Broadcast()
		}
		b.mu.Unlock()
	}
}

// receive takes what the sidecar sends.
func (b *bare) receive(p []byte, more bool) {
	total, at := int(binary.BigEndian.Uint16(p[atTotal:])), ipLen+int(p[atFlags-1]>>4)*4
	if total > at && binary.BigEndian.Uint32(p[atSeq:]) == b.want {
		b.got += total - at
		b.want += uint32(total - at)
	}
	b.owed = b.owed || total > at
	if more || !b.owed {
		return
	}
	b.owed = false
	ack := slices.Clone(b.segment[:4+etherLen+ipLen+tcpLen])
	binary.BigEndian.PutUint32(ack, etherLen+ipLen+tcpLen)
	binary.BigEndian.PutUint16(ack[4+etherLen+atTotal:], ipLen+tcpLen)
	binary.BigEndian.PutUint32(ack[4+etherLen+atSeq:], b.acked)
	binary.BigEndian.PutUint32(ack[4+etherLen+atAck:], b.want)
	_, _ = b.wire.Write(ack)
}

// bulk sends segments, at most batch in one write, until at least n bytes were
// acknowledged. What was lost is sent again from there.
func (b *bare) bulk(t testing.TB, n, batch int) {
	t.Helper()
	size := uint32(len(b.segment) - 4 - etherLen - ipLen - tcpLen)
	end := b.next + (uint32(n)+size-1)/size*size
	for b.next != end {
		b.mu.Lock()
		for !b.ended && b.again < 3 && b.next-b.acked+size > b.window {
			b.moved.Wait()
		}
		if b.again >= 3 {
			b.next, b.again = b.acked, 0
		}
		free, ended := b.window-(b.next-b.acked), b.ended
		b.mu.Unlock()
		if ended {
			t.Fatal("the gateway is gone")
		}
		out := b.out[:0]
		for i := 0; i < batch && free >= size && b.next != end; i++ {
			at := len(out)
			out = append(out, b.segment...)
			binary.BigEndian.PutUint32(out[at+4+etherLen+atSeq:], b.next)
			b.next, free = b.next+size, free-size
		}
		b.out = out
		if _, err := b.wire.Write(out); err != nil {
			t.Fatal(err)
		}
	}
}

// settled waits until everything is acknowledged.
func (b *bare) settled(t testing.TB) {
	t.Helper()
	late := time.AfterFunc(10*time.Second, func() { b.mu.Lock(); b.ended = true; b.moved.Broadcast(); b.mu.Unlock() })
	defer late.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.acked != b.next && !b.ended {
		b.moved.Wait()
	}
	if b.ended {
		t.Fatal("the gateway does not acknowledge what it was sent")
	}
}
