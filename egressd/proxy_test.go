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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/policy"
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
	c.service.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, up.Listener.Addr().String())
	}
	c.addr = c.service.listener.Addr().String()
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

// lines returns the audit lines of decisions so far.
func (c *chain) lines(t testing.TB) []audit.Line {
	t.Helper()
	var out []audit.Line
	data := readFile(t, c.auditFile)
	for raw := range bytes.Lines(data) {
		var l audit.Line
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

func TestCredentialIsInjectedOnceAndTheAgentsOwnRemoved(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	for _, h2 := range []bool{false, true} {
		req, _ := http.NewRequest("POST", c.url("api.example", "/v1/x?q=1"), strings.NewReader("hello"))
		req.Header["Authorization"] = []string{"Bearer own", "Basic own"}
		req.Header.Set("X-Api-Key", "own")
		req.Header.Set("Bottle-Relay", "own")
		req.Header.Set("X-HTTP-Method-Override", "DELETE")
		resp, err := c.client(t, h2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || string(body) != "ok" || resp.ProtoMajor == 2 != h2 {
			t.Fatalf("%s %s %q", resp.Proto, resp.Status, body)
		}
		seen := c.upstream.Seen()
		if len(seen) != 1 || seen[0].Contains("own") || seen[0].Contains("DELETE") || seen[0].URI != "/v1/x?q=1" || string(seen[0].Body) != "hello" {
			t.Fatalf("the upstream saw %+v", seen)
		}
		if got := seen[0].Header["Authorization"]; len(got) != 1 || got[0] != "Bearer real-token" {
			t.Errorf("Authorization is %q", got)
		}
		if seen[0].Proto != "HTTP/2.0" {
			t.Errorf("the upstream was spoken to in %s", seen[0].Proto)
		}
	}
	if l := c.lines(t); len(l) != 2 || l[0].Decision != policy.Allow || l[0].Rule != "routes[0].matches[0]" || l[0].Status != 200 || l[0].BytesIn != 5 || l[0].BytesOut != 2 {
		t.Errorf("audit: %+v", l)
	}
}

func TestDenialsReachNoUpstreamAndAreRecorded(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	for _, tc := range []struct {
		method, path string
		header       http.Header
		want         policy.Reason
	}{
		{"GET", "/admin", nil, policy.ReasonPathNotAllowed},
		{"DELETE", "/v1/x", nil, policy.ReasonMethodNotAllowed},
		{"GET", "/v1/%2e%2e/admin", nil, policy.ReasonAmbiguousPath},
		{"GET", "/v1//x", nil, policy.ReasonAmbiguousPath},
		{"POST", "/v1/r.git/git-receive-pack", nil, policy.ReasonGitPush},
		{"GET", "/v1/x", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, policy.ReasonUpgrade},
	} {
		req, err := http.NewRequest(tc.method, c.url("api.example", tc.path), nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range tc.header {
			req.Header[k] = v
		}
		resp, err := c.client(t, false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var p wire.Problem
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 || resp.Header.Get(wire.DenyHeader) != string(tc.want) || p.Reason != tc.want || p.Detail == "" {
			t.Errorf("%s %s: %s %+v", tc.method, tc.path, resp.Status, p)
		}
		l := c.lines(t)
		if last := l[len(l)-1]; last.Reason != tc.want || last.Decision != policy.Deny || last.RequestID != p.RequestID {
			t.Errorf("%s %s: audit line %+v", tc.method, tc.path, last)
		}
	}
	if seen := c.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
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

func TestTunnelsAreRefused(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	port := c.upstream.Port()
	for authority, want := range map[string]policy.Reason{
		"evil.example:443":      policy.ReasonHostNotAllowed,
		"api.example:22":        policy.ReasonHostNotAllowed,
		"api.example.:" + port:  policy.ReasonBadAuthority,
		"127.0.0.1:" + port:     policy.ReasonBadAuthority,
		"2130706433:" + port:    policy.ReasonBadAuthority,
		"[::1]:" + port:         policy.ReasonBadAuthority,
		"x@api.example:" + port: policy.ReasonBadAuthority,
		"api.example:0" + port:  policy.ReasonBadAuthority,
	} {
		resp, body := c.raw(t, "CONNECT "+authority+" HTTP/1.1\r\nHost: api.example:"+port+"\r\n\r\n")
		if resp.StatusCode == 200 {
			t.Errorf("a tunnel to %s was opened", authority)
			continue
		}
		// net/http itself refuses some of these with a bare 400.
		if resp.StatusCode == 403 && (resp.Header.Get(wire.DenyHeader) != string(want) || !bytes.Contains(body, []byte(want))) {
			t.Errorf("%s: %s %s", authority, resp.Status, body)
		}
	}
	if resp, _ := c.raw(t, "GET /v1/x HTTP/1.1\r\nHost: api.example\r\n\r\n"); resp.Header.Get(wire.DenyHeader) != string(policy.ReasonBadRequest) {
		t.Errorf("an origin-form request: %s", resp.Status)
	}
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

func TestNamesMustAgree(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	port := c.upstream.Port()
	for _, sni := range []string{"ws.example", "evil.example", ""} {
		if _, err := c.tunnel(t, "api.example:"+port, sni); err == nil {
			t.Errorf("a handshake for %q in a tunnel to api.example succeeded", sni)
		}
	}
	for send, want := range map[string]policy.Reason{
		"GET /v1/x HTTP/1.1\r\nHost: ws.example:" + port + "\r\n\r\n":                                                   policy.ReasonAuthorityMismatch,
		"GET /v1/x HTTP/1.1\r\nHost: api.example\r\n\r\n":                                                               policy.ReasonAuthorityMismatch,
		"GET /v1/x HTTP/1.1\r\nHost: api.example:22\r\n\r\n":                                                            policy.ReasonAuthorityMismatch,
		"GET https://ws.example:" + port + "/ HTTP/1.1\r\nHost: api.example:" + port + "\r\n\r\n":                       policy.ReasonNestedProxy,
		"CONNECT api.example:" + port + " HTTP/1.1\r\nHost: api.example:" + port + "\r\n\r\n":                           policy.ReasonNestedProxy,
		"OPTIONS * HTTP/1.1\r\nHost: api.example:" + port + "\r\n\r\n":                                                  policy.ReasonBadRequest,
		"GET /v1/..;/x HTTP/1.1\r\nHost: api.example:" + port + "\r\n\r\n":                                              policy.ReasonAmbiguousPath,
		"GET /v1/a\\..\\b HTTP/1.1\r\nHost: api.example:" + port + "\r\n\r\n":                                           policy.ReasonAmbiguousPath,
		"GET /v1/x HTTP/1.1\r\nHost: api.example:" + port + "\r\nConnection: Authorization\r\nAuthorization: x\r\n\r\n": policy.ReasonBadRequest,
	} {
		conn, err := c.tunnel(t, "api.example:"+port, "api.example")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, send); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get(wire.DenyHeader); got != string(want) {
			t.Errorf("%q: %s %s, want %s", send, resp.Status, got, want)
		}
	}
	if seen := c.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}

// TestSecondRequestIsJudgedToo pipelines a forbidden request behind an allowed
// one, and tries the framings that proxies have read in two ways.
func TestSecondRequestIsJudgedToo(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	host := "Host: api.example:" + c.upstream.Port() + "\r\n"
	for _, send := range []string{
		"GET /v1/x HTTP/1.1\r\n" + host + "\r\nGET /admin HTTP/1.1\r\n" + host + "\r\n",
		"POST /v1/x HTTP/1.1\r\n" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n" + host + "\r\n",
		"POST /v1/x HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 44\r\n\r\nGET /admin HTTP/1.1\r\n" + host + "\r\n",
		"POST /v1/x HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n" + host + "\r\n",
		"POST /v1/x HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n" + host + "\r\n",
	} {
		conn, err := c.tunnel(t, "api.example:"+c.upstream.Port(), "api.example")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, send); err != nil {
			t.Fatal(err)
		}
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		for _, s := range c.upstream.Seen() {
			if s.Contains("/admin") || s.Contains("admin") {
				t.Errorf("%q let through %+v", send, s)
			}
		}
	}
}

func TestReloadJudgesOpenTunnelsAnewAndKeepsTheLastGoodTable(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	client := c.client(t, false)
	get := func() int {
		resp, err := client.Get(c.url("api.example", "/v1/x"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := get(); got != 200 {
		t.Fatal(got)
	}
	bad := c.config
	bad.SecretsDir = "/nowhere"
	if err := c.service.Reload(&bad); err == nil {
		t.Error("a table whose token is missing was taken")
	}
	if got := get(); got != 200 {
		t.Errorf("after a refused reload: %d", got)
	}
	empty := c.config
	empty.Routes = nil
	if err := c.service.Reload(&empty); err != nil {
		t.Fatal(err)
	}
	c.upstream.Seen()
	if got := get(); got != 403 {
		t.Errorf("in the open tunnel after its route is gone: %d", got)
	}
	if seen := c.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}

func TestBodyLimit(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	for name, body := range map[string]io.Reader{
		"announced": strings.NewReader(strings.Repeat("x", 2<<10)),
		"chunked":   io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<10))),
	} {
		resp, err := c.client(t, false).Post(c.url("ws.example", "/up"), "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get(wire.DenyHeader); got != string(policy.ReasonBodyTooLarge) {
			t.Errorf("%s: %s %q", name, resp.Status, got)
		}
		for _, s := range c.upstream.Seen() {
			if len(s.Body) > 1<<10 {
				t.Errorf("%s: the upstream got %d bytes", name, len(s.Body))
			}
		}
	}
}

// TestEventsAreNotHeldBack has the upstream wait for the client to have read
// each event before it sends the next: a proxy that buffers never ends.
func TestEventsAreNotHeldBack(t *testing.T) {
	read := make(chan struct{})
	c := startChain(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-read:
			case <-time.After(10 * time.Second):
				return
			}
		}
	}, defaultRoutes)
	resp, err := c.client(t, true).Get(c.url("api.example", "/v1/events"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := r.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		_, _ = r.ReadString('\n')
		read <- struct{}{}
	}
}

func TestWebSocketWhereTheRouteSaysSo(t *testing.T) {
	c := startChain(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			t.Errorf("the upgrade did not arrive: %v", r.Header)
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}, defaultRoutes)
	conn, err := c.tunnel(t, "ws.example:"+c.upstream.Port(), "ws.example")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: ws.example:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", c.upstream.Port())
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	fmt.Fprint(conn, "ping")
	got := make([]byte, 4)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "ping" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestUntrustedUpstreamIsRefused(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	c.service.transport.TLSClientConfig.RootCAs = testkit.NewCA(t, "other").Pool()
	resp, err := c.client(t, false).Get(c.url("api.example", "/v1/x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 || resp.Header.Get(wire.DenyHeader) != string(policy.ReasonUpstreamUntrusted) {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if seen := c.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, proto := range []string{"h1", "h2"} {
		b.Run(proto, func(b *testing.B) {
			c := startChain(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1024)) }, defaultRoutes)
			client := c.client(b, proto == "h2")
			u := c.url("api.example", "/v1/x")
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get(u)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
