package gateway

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// stretch is a segment of a stream, as an IP packet.
func stretch(g *Guard, seq uint32, flags byte, data string, change ...func(p []byte)) []byte {
	p := tcpFrame(g, g.Gateway, 4000, 53, flags)[etherLen:]
	binary.BigEndian.PutUint32(p[atSeq:], seq)
	p = append(p, data...)
	binary.BigEndian.PutUint16(p[atTotal:], uint16(len(p)))
	for _, c := range change {
		c(p)
	}
	return p
}

// Only what differs in nothing but its place in the stream is joined.
func TestJoin(t *testing.T) {
	g := testGuard(t)
	set := func(at int, b byte) func([]byte) { return func(p []byte) { p[at] = b } }
	for _, tc := range []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"the next", stretch(g, 1003, flagACK, "def"), true},
		{"the next, pushed", stretch(g, 1003, flagACK|flagPSH, "def"), true},
		{"the same again", stretch(g, 1000, flagACK, "abc"), false},
		{"one with a gap before it", stretch(g, 1004, flagACK, "def"), false},
		{"the end", stretch(g, 1003, flagACK|flagFIN, "def"), false},
		{"a reset", stretch(g, 1003, flagACK|flagRST, "def"), false},
		{"urgent data", stretch(g, 1003, flagACK|32, "def"), false},
		{"an answer only", stretch(g, 1003, flagACK, ""), false},
		{"another acknowledgement", stretch(g, 1003, flagACK, "def", set(atAck+3, 7)), false},
		{"another window", stretch(g, 1003, flagACK, "def", set(atFlags+1, 1)), false},
		{"another urgent pointer", stretch(g, 1003, flagACK, "def", set(ipLen+19, 1)), false},
		{"options", stretch(g, 1003, flagACK, "....def", set(ipLen+12, 0x60)), false},
		{"another port", stretch(g, 1003, flagACK, "def", set(ipLen+1, 9)), false},
		{"another destination", stretch(g, 1003, flagACK, "def", set(19, 9)), false},
		{"congestion", stretch(g, 1003, flagACK, "def", set(1, 3)), false},
		{"another protocol", stretch(g, 1003, flagACK, "def", set(atProto, protoUDP)), false},
		{"what makes it too long", stretch(g, 1003, flagACK, string(make([]byte, maxPacket-ipLen-tcpLen-2))), false},
	} {
		var c coalescer
		if !c.begin(stretch(g, 1000, flagACK, "abc")) {
			t.Fatal("the first is not taken")
		}
		if got := c.join(tc.packet); got != tc.want {
			t.Errorf("%s: joined is %v", tc.name, got)
		}
		want := "abc"
		if tc.want {
			want += "def"
		}
		if p := c.take(); string(p[ipLen+tcpLen:]) != want || int(binary.BigEndian.Uint16(p[atTotal:])) != len(p) || fold(sum(0, p[:ipLen])) != 0xffff {
			t.Errorf("%s: became % x", tc.name, p)
		}
		if c.take() != nil {
			t.Errorf("%s: something is left", tc.name)
		}
	}
}

// What a sender wants to be delivered is not kept for more.
func TestPushEndsIt(t *testing.T) {
	g := testGuard(t)
	var c coalescer
	if c.begin(stretch(g, 1000, flagACK|flagPSH, "abc")) {
		t.Error("a pushed packet is kept")
	}
	c.begin(stretch(g, 1000, flagACK, "abc"))
	c.join(stretch(g, 1003, flagACK|flagPSH, "def"))
	if c.join(stretch(g, 1006, flagACK, "ghi")) {
		t.Error("something follows a push")
	}
	if p := c.take(); p[atFlags] != flagACK|flagPSH {
		t.Errorf("the push is lost: %x", p[atFlags])
	}
}

// Whatever a guest sends, the stack is given every byte that passed, once, in
// order, in packets that the guard lets pass as well.
func FuzzJoin(f *testing.F) {
	g := testGuard(f)
	f.Add([]byte{1, 5, 2, 9, 3, 200, 0, 0, 4, 4})
	f.Add([]byte{255, 255, 0, 7, 16, 7, 48, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		var c coalescer
		var sent, got bytes.Buffer
		judge := *g
		judge.MTU = maxPacket
		deliver := func(p []byte) {
			if p == nil {
				return
			}
			frame := ether(g, g.GatewayMAC, typeIPv4, p...)
			if v, flow := judge.Judge(frame); v != Pass || int(binary.BigEndian.Uint16(p[atTotal:])) != len(p) {
				t.Fatalf("the stack gets what the guard does not let pass: %v %v % x", v, flow, p)
			}
			at := ipLen + int(p[atFlags-1]>>4)*4
			fmt.Fprintf(&got, "%s", p[at:])
		}
		seq := uint32(0xffffff00) // it wraps
		for ; len(script) > 1; script = script[2:] {
			flags, data := byte(flagACK), bytes.Repeat(script[1:2], int(script[1])*8)
			if script[0]&16 != 0 {
				flags |= flagPSH
			}
			if script[0]&32 != 0 {
				seq++ // a gap
			}
			p := stretch(g, seq, flags, string(data), func(p []byte) {
				p[atFlags+1] = script[0] & 3
				if script[0]&64 != 0 && len(data) >= 40 {
					p[atFlags-1] = 0x60 | script[0]<<4&0xf0 // a header with options
				}
			})
			seq += uint32(len(data))
			if v, _ := judge.Judge(ether(g, g.GatewayMAC, typeIPv4, p...)); v != Pass {
				continue
			}
			sent.Write(p[ipLen+int(p[atFlags-1]>>4)*4:])
			if !c.join(p) {
				deliver(c.take())
				if !c.begin(p) {
					deliver(p)
				}
			}
		}
		deliver(c.take())
		if !bytes.Equal(sent.Bytes(), got.Bytes()) {
			t.Fatalf("%d bytes were sent, and the stack got %d", sent.Len(), got.Len())
		}
	})
}

func BenchmarkJoin(b *testing.B) {
	g := testGuard(b)
	data := string(make([]byte, 1460))
	var c coalescer
	var packets [][]byte
	for i := range 40 {
		packets = append(packets, stretch(g, uint32(i*1460), flagACK, data))
	}
	b.SetBytes(40 * 1460)
	for b.Loop() {
		for _, p := range packets {
			if !c.join(p) && !c.begin(p) {
				b.Fatal("not taken")
			}
		}
		c.take()
	}
}
