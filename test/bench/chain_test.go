package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
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

const host = "bench.example"

// chain is an upstream with both proxies in front of it.
type chain struct {
	upstream *httptest.Server
	port     string // of the upstream
	proxy    *url.URL
	// direct and egress are what a client trusts on either way.
	direct, egress *x509.CertPool
	egressd        *exec.Cmd
	pipelockd      *exec.Cmd
}

var payload = bytes.Repeat([]byte("0123456789abcdef"), 1024/16)

// newChain starts everything; it ends with the benchmark.
func newChain(b *testing.B) *chain {
	b.Helper()
	bin, err := trial.Binaries("../../bin")
	if err != nil {
		b.Skip(err)
	}
	dir := b.TempDir()
	upstreamCA, egressCA, pipelockCA := testkit.NewCA(b, "upstream"), testkit.NewCA(b, "egress"), testkit.NewCA(b, "pipelock")
	c := &chain{direct: upstreamCA.Pool(), egress: egressCA.Pool()}
	c.serve(b, upstreamCA)

	upstreamRoots, _ := upstreamCA.Write(b, dir, "upstream")
	egressCert, egressKey := egressCA.Write(b, dir, "egress")
	pipelockCert, pipelockKey := pipelockCA.Write(b, dir, "pipelock")
	relay := filepath.Join(dir, "relay.key")
	testkit.WriteFile(b, relay, []byte(hex.EncodeToString(bytes.Repeat([]byte{7}, 32))+"\n"))
	testkit.WriteFile(b, filepath.Join(dir, "BENCH_TOKEN"), []byte("bench-token-bench-token"))
	ports := freePorts(b, 4)

	c.pipelockd = begin(b, bin, dir, "pipelockd", wire.Pipelockd{
		Version: wire.Version, Bottle: "bench-00000",
		Listen: wire.PipelockdListen{Proxy: ports[0], Admin: ports[1]},
		CA:     wire.KeyPair{Certificate: pipelockCert, Key: pipelockKey}, RelayKey: relay,
		UpstreamCA: []string{upstreamRoots}, Audit: wire.Audit{File: filepath.Join(dir, "pipelockd.jsonl")},
		Allow:        []wire.AllowHost{{Host: host + ":" + c.port}},
		AllowPrivate: []string{"127.0.0.0/8"}, Hosts: map[string]string{host: "127.0.0.1"},
	})
	c.egressd = begin(b, bin, dir, "egressd", wire.Egressd{
		Version: wire.Version, Bottle: "bench-00000",
		Listen:   wire.EgressdListen{Proxy: ports[2], Admin: ports[3]},
		CA:       wire.KeyPair{Certificate: egressCert, Key: egressKey},
		Upstream: wire.Upstream{Proxy: "http://" + ports[0], CA: pipelockCert, RelayKey: relay},
		Audit:    wire.Audit{File: filepath.Join(dir, "egressd.jsonl")}, SecretsDir: dir,
		Routes: []wire.Route{{
			Host:    host + ":" + c.port,
			Matches: []wire.Match{{Path: &wire.PathMatch{Prefix: "/v1/"}, Methods: []string{"GET"}}},
			Auth:    &wire.Auth{Scheme: wire.SchemeBearer, TokenRef: "BENCH_TOKEN"},
		}},
	})
	c.proxy = &url.URL{Scheme: "http", Host: ports[2]}
	return c
}

// serve starts an upstream that answers 1 KiB and records nothing.
func (c *chain) serve(b *testing.B, ca *testkit.CA) {
	c.upstream = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(payload)))
		_, _ = w.Write(payload) // a client that is gone needs no answer
	}))
	c.upstream.EnableHTTP2 = true
	c.upstream.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Leaf(b, host)}}
	c.upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.upstream.StartTLS()
	b.Cleanup(c.upstream.Close)
	_, c.port, _ = net.SplitHostPort(c.upstream.Listener.Addr().String())
}

// freePorts picks loopback addresses that are free now.
func freePorts(b *testing.B, n int) []string {
	b.Helper()
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// begin starts a daemon and waits until its own health check passes.
func begin(b *testing.B, bin, dir, name string, config any) *exec.Cmd {
	b.Helper()
	data, err := yaml.Marshal(config)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(dir, name+".yaml")
	testkit.WriteFile(b, file, data)
	cmd := exec.Command(filepath.Join(bin, name), "--config", file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	for deadline := time.Now().Add(10 * time.Second); exec.Command(cmd.Path, "--config", file, "healthcheck").Run() != nil; {
		select {
		case <-ended:
			b.Fatalf("%s ended: %s", name, out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s is not ready: %s", name, out.String())
		}
	}
	return cmd
}

// client is an agent that goes through the chain, or straight to the upstream.
func (c *chain) client(through bool, connections int) *http.Client {
	t := &http.Transport{
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections,
		TLSClientConfig: &tls.Config{RootCAs: c.direct},
	}
	if through {
		t.Proxy, t.TLSClientConfig.RootCAs = http.ProxyURL(c.proxy), c.egress
	} else {
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.upstream.Listener.Addr().String())
		}
	}
	return &http.Client{Transport: t, Timeout: 30 * time.Second}
}

var errAnswer = errors.New("not the upstream's answer")

// get makes one request and reads the answer to its end.
func (c *chain) get(client *http.Client) error {
	resp, err := client.Get("https://" + host + ":" + c.port + "/v1/item")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n != int64(len(payload))) {
		err = fmt.Errorf("%w: %s, %d bytes", errAnswer, resp.Status, n)
	}
	return err
}

// residentMiB is the memory of a process that is in use.
func residentMiB(b *testing.B, cmd *exec.Cmd) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		b.Skip("this system does not tell the memory of a process by /proc:", err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}
