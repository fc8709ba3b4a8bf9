package gateway

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// processor reports what a megabyte costs in time of processors, guest and sidecar
// included. On a machine that is shared it says more than the throughput.
func processor(b *testing.B, bytes int) {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	b.Cleanup(func() {
		b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N)/float64(bytes)*1e6, "µs-cpu/MB")
	})
}

// Guest to sidecar through everything but a machine: the guest's own stack, the
// framing over a unix socket, the guard, the gateway's stack, loopback.
func BenchmarkUpload(b *testing.B) {
	for _, mtu := range []int{1500, 16384, maxMTU} {
		b.Run(fmt.Sprint(mtu), func(b *testing.B) {
			r := newRig(b, config(testkit.Serve(b, func(c net.Conn) {
				_, _ = io.Copy(io.Discard, c)
				_, _ = c.Write([]byte{1})
			}), mtu))
			c := r.mustDial("10.213.1.2:9099")
			defer c.Close()
			chunk := make([]byte, 256<<10)
			b.SetBytes(int64(len(chunk)))
			processor(b, len(chunk))
			for b.Loop() {
				if _, err := c.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			_ = c.CloseWrite()
			_, _ = io.ReadFull(c, make([]byte, 1)) // all has arrived
		})
	}
}

// What the gateway itself can carry: the guest has no stack. A monitor writes one frame
// at a time (QEMU), or several.
func BenchmarkCarry(b *testing.B) {
	for _, bc := range []struct {
		name        string
		mtu, frames int
	}{{"1500", 1500, 32}, {"1500-each", 1500, 1}, {"65520", maxMTU, 1}} {
		b.Run(bc.name, func(b *testing.B) {
			gw, _ := newGateway(b, config(testkit.Serve(b, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), bc.mtu))
			guest := newBare(b, gw, bc.mtu-ipLen-tcpLen)
			const chunk = 256 << 10
			b.SetBytes(chunk)
			processor(b, chunk)
			for b.Loop() {
				guest.bulk(b, chunk, bc.frames)
			}
			guest.settled(b)
		})
	}
}

// BenchmarkFetch is the other direction: what a sidecar sends.
func BenchmarkFetch(b *testing.B) {
	for _, mtu := range []int{1500, maxMTU} {
		b.Run(fmt.Sprint(mtu), func(b *testing.B) {
			const chunk = 256 << 10
			more := make(chan bool, 16)
			gw, _ := newGateway(b, config(testkit.Serve(b, func(c net.Conn) {
				data := make([]byte, chunk)
				_, _ = io.ReadFull(c, data[:mtu-ipLen-tcpLen]) // what is unread at the end resets it
				for range more {
					_, _ = c.Write(data)
				}
			}), mtu))
			guest := newBare(b, gw, mtu-ipLen-tcpLen)
			guest.bulk(b, 1, 1) // which accepts the connection
			b.SetBytes(chunk)
			processor(b, chunk)
			total := 0
			for b.Loop() {
				more <- true
				total += chunk
			}
			close(more)
			guest.mu.Lock()
			for guest.got < total && !guest.ended {
				guest.moved.Wait()
			}
			guest.mu.Unlock()
		})
	}
}

// BenchmarkAnswer is one byte there and back, against a plain connection.
func BenchmarkAnswer(b *testing.B) {
	ask := func(b *testing.B, c net.Conn) {
		defer c.Close()
		one := make([]byte, 1)
		for b.Loop() {
			_, _ = c.Write(one)
			if _, err := io.ReadFull(c, one); err != nil {
				b.Fatal(err)
			}
		}
	}
	side := testkit.Serve(b, echo)
	b.Run("direct", func(b *testing.B) {
		c, err := net.Dial("tcp", side)
		if err != nil {
			b.Fatal(err)
		}
		ask(b, c)
	})
	b.Run("gateway", func(b *testing.B) { ask(b, newRig(b, config(side, 1500)).mustDial("10.213.1.2:9099")) })
}

// BenchmarkConnect is a connection opened, used and closed.
func BenchmarkConnect(b *testing.B) {
	r := newRig(b, config(testkit.Serve(b, echo), 1500))
	for b.Loop() {
		c := r.mustDial("10.213.1.2:9099")
		_, _ = c.Write([]byte{1})
		_ = c.CloseWrite()
		_, _ = io.ReadAll(c)
		_ = c.Close()
	}
}

func BenchmarkJudge(b *testing.B) {
	g := testGuard(b)
	f := tcpFrame(g, g.Gateway, 4000, 53, flagACK)
	for b.Loop() {
		g.Judge(f)
	}
}

// A guest that is refused over and over costs this much a try.
func BenchmarkRefuse(b *testing.B) {
	r := newRig(b, config(testkit.Serve(b, echo), 1500))
	began := time.Now()
	for b.Loop() {
		_, _ = r.dial("203.0.113.7:443")
	}
	b.ReportMetric(float64(time.Since(began).Microseconds())/float64(b.N), "µs/try")
}
