package bench

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// measured collects the last run of each benchmark for the table.
var measured = map[string]figures{}

type figures struct {
	p50, p99  time.Duration
	perSecond float64
}

func TestMain(m *testing.M) {
	status := m.Run()
	printTable()
	os.Exit(status)
}

var ways = []string{"direct", "chain"}

// BenchmarkKeepAlive is 1 KiB over connections that stay open.
func BenchmarkKeepAlive(b *testing.B) {
	c := newChain(b)
	for _, connections := range []int{1, 32} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("connections=%d/%s", connections, way), func(b *testing.B) {
				client := c.client(way == "chain", connections)
				defer client.CloseIdleConnections()
				c.warmUp(b, client, connections)
				c.measure(b, b.Name(), connections, func() error { return c.get(client) })
			})
		}
	}
}

// BenchmarkNewConnection is a TLS handshake, and where there is one a CONNECT,
// for each request, to a host that is known already. Sessions are not resumed.
func BenchmarkNewConnection(b *testing.B) {
	c := newChain(b)
	for _, way := range ways {
		b.Run(way, func(b *testing.B) {
			client := c.client(way == "chain", 1)
			client.Transport.(*http.Transport).DisableKeepAlives = true
			if err := c.get(client); err != nil {
				b.Fatal(err)
			}
			c.measure(b, b.Name(), 1, func() error { return c.get(client) })
		})
	}
}

// BenchmarkMemory is what the daemons keep: idle after their start, and idle again
// after the load of 32 connections.
func BenchmarkMemory(b *testing.B) {
	c := newChain(b)
	idle := map[string]float64{"egressd": residentMiB(b, c.egressd), "pipelockd": residentMiB(b, c.pipelockd)}
	client := c.client(true, 32)
	defer client.CloseIdleConnections()
	for b.Loop() {
		c.warmUp(b, client, 32)
	}
	for name, mib := range idle {
		b.ReportMetric(mib, name+"-idle-MiB")
		memory[name] = mib
	}
	b.ReportMetric(residentMiB(b, c.egressd), "egressd-loaded-MiB")
	b.ReportMetric(residentMiB(b, c.pipelockd), "pipelockd-loaded-MiB")
	b.ReportMetric(0, "ns/op") // has no meaning here
}

var memory = map[string]float64{}

// warmUp opens the connections, so that none is opened under way.
func (c *chain) warmUp(b *testing.B, client *http.Client, connections int) {
	b.Helper()
	var group sync.WaitGroup
	for range connections {
		group.Go(func() {
			for range 4 {
				if err := c.get(client); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// measure makes b.N requests on so many connections and reports the latency that
// half and all but a hundredth of them kept, and their rate.
func (c *chain) measure(b *testing.B, name string, connections int, request func() error) {
	b.Helper()
	latencies := make([]time.Duration, b.N)
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for range connections {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				start := time.Now()
				if err := request(); err != nil {
					b.Error(err)
					return
				}
				latencies[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	b.StopTimer()
	slices.Sort(latencies)
	f := figures{latencies[b.N/2], latencies[b.N*99/100], float64(b.N) / took.Seconds()}
	measured[name] = f
	b.ReportMetric(float64(f.p50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(f.p99.Microseconds()), "p99-µs")
	b.ReportMetric(f.perSecond, "req/s")
}

// printTable sets the chain against the direct way.
func printTable() {
	if len(measured)+len(memory) == 0 {
		return
	}
	fmt.Printf("\n%-34s %10s %10s %10s %10s %10s\n", "1 KiB over TLS", "p50", "p99", "req/s", "p50 added", "p50 ratio")
	for _, name := range []string{"BenchmarkKeepAlive/connections=1", "BenchmarkKeepAlive/connections=32", "BenchmarkNewConnection"} {
		direct, ok := measured[name+"/direct"]
		if !ok {
			continue
		}
		for _, way := range ways {
			f := measured[name+"/"+way]
			fmt.Printf("%-34s %10s %10s %10.0f", name[len("Benchmark"):]+" "+way, f.p50.Round(time.Microsecond), f.p99.Round(time.Microsecond), f.perSecond)
			if way == "chain" {
				fmt.Printf(" %10s %9.1f×", (f.p50 - direct.p50).Round(time.Microsecond), float64(f.p50)/float64(direct.p50))
			}
			fmt.Println()
		}
	}
	for _, name := range []string{"egressd", "pipelockd"} {
		if mib, ok := memory[name]; ok {
			fmt.Printf("%-34s %7.1f MiB\n", name+", resident when idle", mib)
		}
	}
}
