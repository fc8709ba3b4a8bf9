package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/launcher/internal/framing"
)

func TestSidecarIsReached(t *testing.T) {
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	c := r.mustDial("10.213.1.2:9099")
	defer c.Close()
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d of %d bytes came back: %v", len(got), len(sent), err)
	}
	if n := r.gw.Counters()["forwarded:egress"]; n != 1 {
		t.Errorf("%d connections were counted", n)
	}
}

func TestUnixTarget(t *testing.T) {
	path := t.TempDir() + "/side.sock"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	r := newRig(t, config("unix:"+path, 1500))
	if got, err := io.ReadAll(r.mustDial("10.213.1.2:9099")); string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
}

// witness is a listener that records who came.
func witness(t *testing.T, addr string) (*atomic.Int64, string) {
	t.Helper()
	var seen atomic.Int64
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			seen.Add(1)
			_ = c.Close()
		}
	}()
	return &seen, l.Addr().String()
}

// The host's loopback is what stock gvproxy lets its guests reach.
func TestNothingElseIsReached(t *testing.T) {
	seen, there := witness(t, "0.0.0.0:0")
	_, port, _ := net.SplitHostPort(there)
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	for _, to := range []string{
		"10.213.1.1:" + port, // the gateway's own address
		"10.213.1.2:" + port, // another port of a sidecar
		"127.0.0.1:" + port,  // the host's loopback (the guest's stack keeps it)
		"192.168.127.254:80", // gvproxy's name for the host
		"169.254.169.254:80", // metadata
		"203.0.113.7:443",    // the internet
		"10.213.1.1:80",      // gvproxy's control API
		"255.255.255.255:" + port,
	} {
		c, err := r.dial(to)
		if err == nil {
			c.Close()
			t.Errorf("the guest connected to %s", to)
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the host saw %d connections", n)
	}
	r.audited(`"event":"flow"`, `"reason":"flow_not_forwarded"`, `"host":"203.0.113.7:443"`, `"method":"tcp"`)
	r.audited(`"host":"169.254.169.254:80"`)
}

func TestDeniedConnectionIsReset(t *testing.T) {
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	began := time.Now()
	_, err := r.dial("203.0.113.7:443")
	if !strings.Contains(errText(err), "refused") || time.Since(began) > 2*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNames(t *testing.T) {
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	for _, network := range []string{"udp", "tcp"} {
		res := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			to := tcpip.FullAddress{Addr: address(netip.MustParseAddr("10.213.1.1")), Port: 53}
			if network == "udp" {
				return gonet.DialUDP(r.guest, nil, &to, ipv4.ProtocolNumber)
			}
			return gonet.DialContextTCP(ctx, r.guest, to, ipv4.ProtocolNumber)
		}}
		got, err := res.LookupHost(t.Context(), "egress.")
		if err != nil || len(got) != 1 || got[0] != "10.213.1.2" {
			t.Errorf("%s: %v, %v", network, got, err)
		}
		var no *net.DNSError
		if _, err := res.LookupTXT(t.Context(), "secret.exfil.example."); !errors.As(err, &no) || !no.IsNotFound {
			t.Errorf("%s: %v", network, err)
		}
	}
	r.audited(`"event":"dns"`, `"reason":"name_not_answered"`, `"host":"secret.exfil.example"`, `"method":"TXT"`)
}

func TestDatagramsAreDropped(t *testing.T) {
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	for _, to := range []string{"203.0.113.9:53", "10.213.1.2:53", "203.0.113.9:443"} {
		a := netip.MustParseAddrPort(to)
		c, err := gonet.DialUDP(r.guest, nil, &tcpip.FullAddress{Addr: address(a.Addr()), Port: a.Port()}, ipv4.ProtocolNumber)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("hello"))
		_ = c.Close()
		r.audited(`"method":"udp"`, `"host":"`+to+`"`)
	}
}

func TestDeadSidecarIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r := newRig(t, config(l.Addr().String(), 1500))
	if got, err := io.ReadAll(r.mustDial("10.213.1.2:9099")); len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	r.audited(`"reason":"upstream_unreachable"`, `"rule":"egress"`)
}

// A guest that floods makes the gateway hold no more than its bounds.
func TestFloodIsBounded(t *testing.T) {
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	g := r.gw.net.guard
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	deadline := time.Now().Add(1500 * time.Millisecond)
	n := 0
	for i := uint32(0); time.Now().Before(deadline); i++ {
		// Connections to everywhere, half-open ones to the sidecar, and datagrams,
		// each from another port; the answers are not read any faster than they can.
		dst := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		frames := [][]byte{
			tcpFrame(g, dst, uint16(i), 443, flagSYN), tcpFrame(g, netip.MustParseAddr("10.213.1.2"), uint16(i), 9099, flagSYN),
			udpFrame(g, dst, uint16(i), 53), udpFrame(g, dst, uint16(i), uint16(i)),
		}
		for _, f := range frames {
			if err := r.send(f); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapInuse) - int64(before.HeapInuse)
	t.Logf("%d frames, the heap grew by %d KiB, the audit has %d bytes", n, grown>>10, size(t, r.trail))
	if grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if size(t, r.trail) > 16<<20 {
		t.Errorf("the audit grew to %d bytes", size(t, r.trail))
	}
	c := r.mustDial("10.213.1.2:9099") // and it still works
	_, _ = c.Write([]byte("x"))
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "x" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

func size(t *testing.T, file string) int64 {
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// More connections than the bound are closed, and the rest goes on.
func TestConnectionsAreBounded(t *testing.T) {
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	for range maxConns {
		c := r.mustDial("10.213.1.2:9099")
		defer c.Close()
	}
	for len(r.gw.slots) < maxConns {
		time.Sleep(time.Millisecond)
	}
	c := r.mustDial("10.213.1.2:9099")
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one more was served: %v", err)
	}
	r.audited(`"reason":"overloaded"`)
}

// A frame may claim any length. Nothing is reserved for it, it is denied once it is
// seen to be too long, and what it claims is all that it costs.
func TestClaimedLength(t *testing.T) {
	r := newRig(t, config(testkit.Serve(t, echo), 1500))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const claimed = 32 << 20
	if _, err := r.raw.Write(binary.BigEndian.AppendUint32(nil, claimed)); err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 1<<20)
	for sent := 0; sent < claimed; sent += len(piece) {
		if _, err := r.raw.Write(piece); err != nil {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
		if sent == 0 {
			r.audited(`"event":"flow"`, `"method":"giant"`)
		}
	}
	c := r.mustDial("10.213.1.2:9099")
	_, _ = c.Write([]byte("x"))
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "x" {
		t.Errorf("behind it: %q, %v", got, err)
	}
	runtime.ReadMemStats(&after)
	if n := r.gw.Counters()["frames:giant"]; n != 1 {
		t.Errorf("%d giants are counted", n)
	}
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 8<<20 {
		t.Errorf("%d MiB were reserved on the way", grown>>20)
	}
}

// An attachment follows another one: the guest was restarted.
func TestGuestComesBack(t *testing.T) {
	c := config(testkit.Serve(t, echo), 1500)
	r := newRig(t, c)
	_ = r.mustDial("10.213.1.2:9099")
	for len(r.gw.slots) == 0 {
		time.Sleep(time.Millisecond)
	}
	r.raw.Close()
	<-r.detached
	for end := time.Now().Add(10 * time.Second); len(r.gw.slots) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connections of a guest that is gone are kept")
		}
	}
	far, near := testkit.SocketPair(t)
	r.raw = far
	go func() { _ = r.gw.Attach(t.Context(), framing.NewStream(near)) }()
	old := r.guest
	r.bootGuest(cardOf(r.gw))
	defer old.Destroy()
	conn := r.mustDial("10.213.1.2:9099")
	_, _ = conn.Write([]byte("again"))
	_ = conn.CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "again" {
		t.Errorf("%q, %v", got, err)
	}
}
