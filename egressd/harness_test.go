package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

func newSecret(s string) secret.String { return secret.New(s) }

// chain is a running egressd, alone, in front of a recording upstream. Names
// are dialled at the upstream's address, whatever they are: in a bottle that is
// pipelockd's business.
type chain struct {
	service   *service
	upstream  *testkit.Upstream
	ca        *testkit.CA
	addr      string
	auditFile string
	config    wire.Egressd
}

func startChain(t testing.TB, handler http.HandlerFunc, routes func(port string) []wire.Route) *chain {
	t.Helper()
	dir := t.TempDir()
	agentCA, upstreamCA := testkit.NewCA(t, "egress"), testkit.NewCA(t, "upstream")
	up := testkit.NewUpstream(t, upstreamCA, handler, "api.example", "ws.example", "other.example")
	cert, key := agentCA.Write(t, dir, "ca")
	upCert, _ := upstreamCA.Write(t, dir, "upstream")
	testkit.WriteFile(t, filepath.Join(dir, "T"), []byte("real-token\n"))
	c := &chain{upstream: up, ca: agentCA, auditFile: filepath.Join(dir, "audit.jsonl")}
	c.config = wire.Egressd{
		Version: wire.Version, Bottle: "test",
		Listen:     wire.EgressdListen{Proxy: "127.0.0.1:0", Admin: "127.0.0.1:0"},
		CA:         wire.KeyPair{Certificate: cert, Key: key},
		Upstream:   wire.Upstream{CA: upCert},
		SecretsDir: dir,
		Audit:      wire.Audit{File: c.auditFile},
		Routes:     routes(up.Port()),
	}
	trail, err := audit.Open(c.auditFile, "egressd", "test")
	if err != nil {
		t.Fatal(err)
	}
	svc, err := newService(&c.config, daemon.Env{Log: slog.New(slog.DiscardHandler), Audit: trail})
	if err != nil {
		t.Fatal(err)
	}
	c.service = svc.(*service)
	c.reach(t, upstreamCA)
	c.addr = c.service.port.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		trail.Close()
	})
	return c
}

func defaultRoutes(port string) []wire.Route {
	return []wire.Route{
		{Host: "api.example:" + port, Matches: []wire.Match{{Path: &wire.PathMatch{Prefix: "/v1/"}, Methods: []string{"GET", "POST"}}},
			Auth: &wire.Auth{Scheme: wire.SchemeBearer, TokenRef: "T"}},
		{Host: "ws.example:" + port, WebSocket: true, Limits: &wire.Limits{MaxRequestBytes: 1 << 10}},
	}
}

// reach makes the service dial the upstream, whatever the name, and trust ca.
func (c *chain) reach(t testing.TB, ca *testkit.CA) {
	t.Helper()
	tr, err := newTransport(c.config.Upstream)
	if err != nil {
		t.Fatal(err)
	}
	tr.TLSClientConfig.RootCAs = ca.Pool()
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, c.upstream.Listener.Addr().String())
	}
	c.service.proxy.Transport = checked{mitm.NewMirror(tr)}
}

// client speaks to the proxy as an agent does.
func (c *chain) client(t testing.TB, h2 bool) *http.Client {
	tr := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: c.addr}),
		TLSClientConfig:   &tls.Config{RootCAs: c.ca.Pool()},
		ForceAttemptHTTP2: h2,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func (c *chain) url(host, path string) string {
	return "https://" + host + ":" + c.upstream.Port() + path
}

// lines returns the audit lines, of which there must be n or soon be: a line is
// written when an exchange has ended, which its client may notice first.
func (c *chain) lines(t testing.TB, n int) []audit.Line {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	data := readFile(t, c.auditFile)
	for bytes.Count(data, []byte("\n"))-bytes.Count(data, []byte(`"event":"begin"`)) < n && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
		data = readFile(t, c.auditFile)
	}
	out := slices.DeleteFunc(parseLines(t, data), func(l audit.Line) bool { return l.Event == "begin" })
	if len(out) != n {
		t.Fatalf("%d audit lines, want %d:\n%s", len(out), n, data)
	}
	return out
}

func parseLines(t testing.TB, data []byte) []audit.Line {
	t.Helper()
	var out []audit.Line
	for raw := range bytes.Lines(data) {
		var l audit.Line
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// raw sends bytes to the proxy port and returns the response's head and body.
func (c *chain) raw(t testing.TB, send string) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp, body
}

// tunnel opens a TLS tunnel by hand.
func (c *chain) tunnel(t testing.TB, authority, serverName string) (*tls.Conn, error) {
	t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", authority, authority)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("CONNECT %s: %v %v", authority, resp, err)
	}
	tc := tls.Client(conn, &tls.Config{RootCAs: c.ca.Pool(), ServerName: serverName, InsecureSkipVerify: serverName == ""})
	return tc, tc.Handshake()
}
func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
