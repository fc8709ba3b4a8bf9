package framing

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// pattern is a frame that is known by its number.
func pattern(n, length int) []byte { return bytes.Repeat([]byte{byte(n + 1)}, length) }

// behind puts a frame behind its length.
func behind(frame []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
}

// script is a stream that has been sent already, in pieces of a size.
type script struct {
	*bytes.Reader
	piece int
}

func (s script) Read(p []byte) (int, error)  { return s.Reader.Read(p[:min(len(p), s.piece)]) }
func (s script) Write(p []byte) (int, error) { return len(p), nil }
func (s script) Close() error                { return nil }
func stream(sent []byte, piece int) Attachment {
	return NewStream(script{bytes.NewReader(sent), piece})
}

// A frame of any length is cut off, and the one behind it begins where it should.
func TestLongFramesAreCutOff(t *testing.T) {
	lengths := []int{60, 1515, 0, 1516, 1518, 1, 70000, 3 << 20, 60}
	var sent []byte
	for i, n := range lengths {
		sent = append(sent, behind(pattern(i, n))...)
	}
	for _, piece := range []int{1, 7, 1500, 1 << 20} {
		a := stream(sent, piece)
		for i, n := range lengths {
			got, err := a.ReadFrame(1515)
			if err != nil || !bytes.Equal(got, pattern(i, min(n, 1515))) {
				t.Fatalf("in pieces of %d: frame %d of %d bytes became %d: %v", piece, i, n, len(got), err)
			}
			if more := a.More(); more && i == len(lengths)-1 {
				t.Error("there is more than was sent")
			}
		}
		if _, err := a.ReadFrame(1515); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	}
}

// More is a promise: the next frame needs no waiting.
func TestMore(t *testing.T) {
	far, near := testkit.SocketPair(t)
	a := NewStream(near)
	for _, step := range []struct {
		send []byte
		want bool
	}{
		{behind(pattern(1, 60)), false},
		{append(behind(pattern(2, 60)), behind(pattern(3, 60))...), true},
		{nil, false}, // the third
		{append(behind(pattern(4, 2000)), 0, 0, 0, 9, 1), false},
		{pattern(1, 8), false}, // the rest of it
	} {
		if _, err := far.Write(step.send); err != nil {
			t.Fatal(err)
		}
		if _, err := a.ReadFrame(1515); err != nil {
			t.Fatal(err)
		}
		if got := a.More(); got != step.want {
			t.Errorf("after %d bytes: %v", len(step.send), got)
		}
	}
}

// An end within a frame is not the end of the frames.
func TestEndWithinAFrame(t *testing.T) {
	for _, sent := range [][]byte{{0, 0}, {0, 0, 0, 4}, {0, 0, 0, 4, 1, 2}} {
		if _, err := stream(sent, 10).ReadFrame(1515); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("% x: %v", sent, err)
		}
	}
}

// datagrams is a pair of sockets that keep the boundaries of frames.
func datagrams(t *testing.T) (far, near net.Conn) {
	t.Helper()
	dir := t.TempDir()
	addr := func(name string) *net.UnixAddr {
		return &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unixgram"}
	}
	l, err := net.ListenUnixgram("unixgram", addr("near"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialUnix("unixgram", addr("far"), addr("near"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = l.Close(), c.Close() })
	return c, l
}

func TestDatagramsAreCutOff(t *testing.T) {
	far, near := datagrams(t)
	a := NewDatagrams(near)
	for i, n := range []int{60, 1515, 0, 1516, 100000, 60} {
		if _, err := far.Write(pattern(i, n)); err != nil {
			t.Fatal(err)
		}
		if got, err := a.ReadFrame(1515); err != nil || !bytes.Equal(got, pattern(i, min(n, 1515))) {
			t.Errorf("a datagram of %d bytes became %d: %v", n, len(got), err)
		}
	}
}

// refusing takes no frame once in a while.
type refusing struct {
	io.ReadWriteCloser
	errs []error
	took [][]byte
}

func (r *refusing) Write(p []byte) (int, error) {
	if len(r.errs) > 0 {
		err := r.errs[0]
		if r.errs = r.errs[1:]; err != nil {
			return 0, err
		}
	}
	r.took = append(r.took, bytes.Clone(p))
	return len(p), nil
}

// A full buffer loses a frame, not the link.
func TestLostDatagrams(t *testing.T) {
	r := &refusing{errs: []error{syscall.ENOBUFS, nil, syscall.EMSGSIZE, syscall.EPIPE}}
	a := NewDatagrams(r)
	if err := a.WriteFrames([]net.Buffers{{{1}}, {{2}, {3}}, {{4}}}); err != nil || len(r.took) != 1 || string(r.took[0]) != "\x02\x03" {
		t.Errorf("%q, %v", r.took, err)
	}
	if err := a.WriteFrames([]net.Buffers{{{5}}}); !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
}

// Frames go through a holder in both directions and stay what they are; one that is
// too long stays too long.
func TestCarry(t *testing.T) {
	card, tap := datagrams(t)
	wire, gateway := testkit.SocketPair(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Carry(NewDatagrams(connected{tap, card.LocalAddr()}), NewStream(wire), 1518)
	}()
	g := NewStream(gateway)
	for i, n := range []int{60, 1514, 5000, 0, 60} {
		if _, err := card.Write(pattern(i, n)); err != nil {
			t.Fatal(err)
		}
		if got, err := g.ReadFrame(9000); err != nil || !bytes.Equal(got, pattern(i, min(n, 1518))) {
			t.Errorf("outwards: %d bytes became %d: %v", n, len(got), err)
		}
		if err := g.WriteFrames([]net.Buffers{{pattern(i, n/2), pattern(i, n-n/2)}}); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 9000)
		if got, err := card.Read(buf); err != nil || !bytes.Equal(buf[:got], pattern(i, min(n, 1518))) {
			t.Errorf("inwards: %d bytes became %d: %v", n, got, err)
		}
	}
	_ = gateway.Close()
	<-ended
}

// connected sends to one address, as a device does.
type connected struct {
	net.Conn
	to net.Addr
}

func (c connected) Write(p []byte) (int, error) { return c.Conn.(*net.UnixConn).WriteTo(p, c.to) }

// Whatever is on a stream, frames are what a plain reading of it finds, and no more is
// reserved than was sent.
func FuzzStream(f *testing.F) {
	f.Add(append(behind(pattern(1, 60)), behind(pattern(2, 1600))...), 3, 1515)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3}, 1, 4)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0}, 9, 1)
	f.Fuzz(func(t *testing.T, sent []byte, piece, limit int) {
		if piece < 1 || limit < 1 || limit > MaxLimit {
			return
		}
		a, rest := stream(sent, piece), sent
		for {
			got, err := a.ReadFrame(limit)
			var want []byte
			whole := len(rest) >= 4
			if whole {
				n := uint64(binary.BigEndian.Uint32(rest))
				if n, has := min(n, uint64(limit)), uint64(len(rest)-4); has >= n {
					want = rest[4 : 4+n]
				} else {
					whole = false
				}
				rest = rest[4+min(n, uint64(len(rest)-4)):]
			}
			if whole != (err == nil) || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %v; there are %d, %v", len(got), err, len(want), whole)
			}
			if err != nil {
				return
			}
			if a.More() && len(rest) < 4 {
				t.Fatal("there is no more")
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	far, near := testkit.SocketPair(b)
	frame := behind(pattern(1, 1514))
	many := bytes.Repeat(frame, 64)
	go func() {
		for {
			if _, err := far.Write(many); err != nil {
				return
			}
		}
	}()
	a := NewStream(near)
	b.SetBytes(1514)
	for b.Loop() {
		if _, err := a.ReadFrame(1515); err != nil {
			b.Fatal(err)
		}
	}
}
