package testkit

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports of their own for the servers of tests, below those that a kernel gives to
// outgoing connections: a port of those may be somebody's before its server is up.
const (
	firstPort = 12000
	ports     = 20000
)

// given are the ports that this process has handed out.
var given sync.Map

// FreeAddress is an address of loopback, host:port, at which nobody listens, for a
// server that cannot choose one itself. No address is handed out twice.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.N(ports)
		if _, before := given.LoadOrStore(port, true); before {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return l.Addr().String()
	}
	t.Fatal("no free port found on 127.0.0.1")
	return ""
}

// FreePort is the port of a [FreeAddress].
func FreePort(t testing.TB) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(FreeAddress(t))
	return port
}
