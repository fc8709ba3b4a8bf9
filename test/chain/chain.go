// Package chain runs the binaries of both proxies, egressd before pipelockd, on
// the loopback interface in front of an upstream that a test brings. It is the
// way of a bottle's requests without the bottle: for protocols, where the
// network around the proxies plays no part and an engine would only cost time.
package chain

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/test/trial"
)

// Host is the name under which the upstream is known; its certificate is made
// by [Upstream].
const Host = "chain.example"

// Token is what the route injects, as "Authorization: Bearer".
const Token = "chain-token-chain-token"

// readyTime bounds the start of a daemon.
const readyTime = 10 * time.Second

// Upstream is what a test serves behind the chain.
type Upstream struct {
	Address string // "127.0.0.1:port"
	roots   string // PEM file of its authority
}

// Listen makes an upstream's certificate, and listens for it. What accepts is
// the test's own.
func Listen(t testing.TB) (Upstream, net.Listener, tls.Certificate) {
	t.Helper()
	ca := testkit.NewCA(t, "upstream")
	roots, _ := ca.Write(t, t.TempDir(), "upstream")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the server may have
	return Upstream{l.Addr().String(), roots}, l, ca.Leaf(t, Host)
}

// Chain is both proxies in front of an upstream.
type Chain struct {
	// Proxy is egressd's URL, Roots what a client trusts behind it.
	Proxy *url.URL
	Roots *x509.CertPool
	// Authority is the upstream's name and port.
	Authority          string
	Egressd, Pipelockd *Daemon
}

// Start starts both, with one route to the upstream; it ends with the test. The
// test is skipped when there are no binaries.
func Start(t testing.TB, u Upstream, route wire.Route) *Chain {
	t.Helper()
	bin, err := trial.Binaries("../../bin")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	egressCA, pipelockCA := testkit.NewCA(t, "egress"), testkit.NewCA(t, "pipelock")
	egressCert, egressKey := egressCA.Write(t, dir, "egress")
	pipelockCert, pipelockKey := pipelockCA.Write(t, dir, "pipelock")
	relay := filepath.Join(dir, "relay.key")
	testkit.WriteFile(t, relay, []byte(hex.EncodeToString(bytes.Repeat([]byte{7}, 32))+"\n"))
	testkit.WriteFile(t, filepath.Join(dir, "CHAIN_TOKEN"), []byte(Token))
	_, port, _ := net.SplitHostPort(u.Address)
	c := &Chain{Authority: Host + ":" + port, Roots: egressCA.Pool()}
	ports, hop := freePorts(t, 3), wire.Socket(filepath.Join(dir, "hop.sock")) // as in a bottle
	c.Pipelockd = begin(t, bin, dir, "pipelockd", wire.Pipelockd{
		Version: wire.Version, Bottle: "chain-00000",
		Listen: wire.PipelockdListen{Proxy: hop, Admin: ports[0]},
		CA:     wire.KeyPair{Certificate: pipelockCert, Key: pipelockKey}, RelayKey: relay,
		UpstreamCA: []string{u.roots}, Audit: wire.Audit{File: filepath.Join(dir, "pipelockd.jsonl")},
		Allow:        []wire.AllowHost{{Host: c.Authority, WebSocket: route.WebSocket}},
		AllowPrivate: []string{"127.0.0.0/8"}, Hosts: map[string]string{Host: "127.0.0.1"},
	})
	route.Host = c.Authority
	route.Auth = &wire.Auth{Scheme: wire.SchemeBearer, TokenRef: "CHAIN_TOKEN"}
	c.Egressd = begin(t, bin, dir, "egressd", wire.Egressd{
		Version: wire.Version, Bottle: "chain-00000",
		Listen:   wire.EgressdListen{Proxy: ports[1], Admin: ports[2]},
		CA:       wire.KeyPair{Certificate: egressCert, Key: egressKey},
		Upstream: wire.Upstream{Proxy: hop, CA: pipelockCert, RelayKey: relay},
		Audit:    wire.Audit{File: filepath.Join(dir, "egressd.jsonl")}, SecretsDir: dir,
		Routes: []wire.Route{route},
	})
	c.Proxy = &url.URL{Scheme: "http", Host: ports[1]}
	return c
}

// Client is an agent behind the chain. Its requests have no bound in time but
// their context's.
func (c *Chain) Client(t testing.TB, http2 bool) *http.Client {
	tr := &http.Transport{
		Proxy: http.ProxyURL(c.Proxy), TLSClientConfig: &tls.Config{RootCAs: c.Roots},
		ForceAttemptHTTP2: http2, DisableCompression: true,
	}
	if !http2 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// URL is a URL of the upstream.
func (c *Chain) URL(path string) string { return "https://" + c.Authority + path }

// Dial opens a tunnel to the upstream and does the TLS handshake of an agent.
func (c *Chain) Dial(ctx context.Context, protocols ...string) (*tls.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", c.Proxy.Host)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(raw, "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", c.Authority); err != nil {
		return nil, err
	}
	const accepted = "HTTP/1.1 200 Connection established\r\n\r\n"
	head := make([]byte, len(accepted))
	if _, err := raw.Read(head); err != nil || string(head) != accepted {
		_ = raw.Close()
		return nil, fmt.Errorf("the tunnel was answered by %q: %w", head, err)
	}
	conn := tls.Client(raw, &tls.Config{ServerName: Host, RootCAs: c.Roots, NextProtos: protocols})
	return conn, conn.HandshakeContext(ctx)
}

// Daemon is a running proxy.
type Daemon struct {
	cmd *exec.Cmd
	// AuditFile is its decision log.
	AuditFile string
}

// begin starts a daemon and waits until its own health check passes.
func begin(t testing.TB, bin, dir, name string, config any) *Daemon {
	t.Helper()
	data, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name+".yaml")
	testkit.WriteFile(t, file, data)
	cmd := exec.Command(filepath.Join(bin, name), "--config", file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // its output tells why it ended
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	for deadline := time.Now().Add(readyTime); exec.Command(cmd.Path, "--config", file, "healthcheck").Run() != nil; {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", name, out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was not ready within %s", name, readyTime)
		}
	}
	return &Daemon{cmd, filepath.Join(dir, name+".jsonl")}
}

// PeakMiB is the most memory that the process ever had in use.
func (d *Daemon) PeakMiB(t testing.TB) float64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		t.Skip("this system does not tell the memory of a process by /proc: ", err)
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

// freePorts picks loopback addresses that are free now.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}
