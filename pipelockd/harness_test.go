package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/relay"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// A credential by its shape only, put together so that no scanner takes this
// file for a leak.
const secret = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"

// door is a running pipelockd in front of a recording upstream.
type door struct {
	service  *service
	upstream *testkit.Upstream
	ca       *testkit.CA // pipelockd's own
	upCA     *testkit.CA
	key      relay.Key
	addr     string
	config   wire.Pipelockd
	trail    *audit.Log
}

// bare is an exchange of a table that says nothing.
func bare() *exchange {
	s, err := newScanning(&wire.Pipelockd{})
	if err != nil {
		panic(err)
	}
	return &exchange{table: &table{scanning: s}}
}

// open starts a door that allows api.example and ws.example at the upstream's
// port. Change adjusts the configuration before the start.
func open(t testing.TB, handler http.HandlerFunc, change func(c *wire.Pipelockd, port string)) *door {
	t.Helper()
	dir := t.TempDir()
	d := &door{ca: testkit.NewCA(t, "pipelock"), upCA: testkit.NewCA(t, "upstream")}
	d.upstream = testkit.NewUpstream(t, d.upCA, handler, "api.example", "ws.example", "late.example")
	cert, key := d.ca.Write(t, dir, "ca")
	upCert, _ := d.upCA.Write(t, dir, "upstream")
	raw := bytes.Repeat([]byte{7}, relay.KeyBytes)
	testkit.WriteFile(t, filepath.Join(dir, "relay.key"), []byte(hex.EncodeToString(raw)))
	d.key, _ = relay.NewKey(raw)
	port := d.upstream.Port()
	d.config = wire.Pipelockd{
		Version: wire.Version, Bottle: "test",
		Listen:       wire.PipelockdListen{Proxy: "127.0.0.1:0", Admin: "127.0.0.1:0"},
		CA:           wire.KeyPair{Certificate: cert, Key: key},
		RelayKey:     filepath.Join(dir, "relay.key"),
		UpstreamCA:   []string{upCert},
		Audit:        wire.Audit{File: filepath.Join(dir, "audit.jsonl")},
		Allow:        []wire.AllowHost{{Host: "api.example:" + port}, {Host: "ws.example:" + port, WebSocket: true}},
		AllowPrivate: []string{"127.0.0.0/8"},
		Hosts:        map[string]string{"api.example": "127.0.0.1", "ws.example": "127.0.0.1", "late.example": "127.0.0.1"},
	}
	if change != nil {
		change(&d.config, port)
	}
	var err error
	if d.trail, err = audit.Open(d.config.Audit.File, "pipelockd", "test"); err != nil {
		t.Fatal(err)
	}
	svc, err := newService(&d.config, daemon.Env{Log: slog.New(slog.DiscardHandler), Audit: d.trail})
	if err != nil {
		t.Fatal(err)
	}
	d.service = svc.(*service)
	d.addr = d.service.port.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = d.trail.Close()
	})
	return d
}

// client speaks to the door as egressd, or an agent, does.
func (d *door) client(t testing.TB, h2 bool) *http.Client {
	tr := &http.Transport{
		Proxy:               http.ProxyURL(&url.URL{Scheme: "http", Host: d.addr}),
		TLSClientConfig:     &tls.Config{RootCAs: d.ca.Pool()},
		ForceAttemptHTTP2:   h2,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func (d *door) url(path string) string { return "https://api.example:" + d.upstream.Port() + path }

// answer is a response, read.
type answer struct {
	*http.Response
	body    string
	problem wire.Problem
}

func do(t testing.TB, c *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	a := answer{Response: resp, body: string(b)}
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(b, &a.problem); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// wantDenied checks an answer, that nothing arrived upstream, and the audit.
func (d *door) wantDenied(t testing.TB, a answer, reason policy.Reason) audit.Line {
	t.Helper()
	if a.problem.Reason != reason || a.Header.Get(wire.DenyHeader) != string(reason) {
		t.Errorf("answer %s %q, want reason %s", a.Status, a.body, reason)
	}
	if seen := d.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
	return d.wantLine(t, reason)
}

// wantLine checks the newest audit line and that no line holds the secret.
func (d *door) wantLine(t testing.TB, reason policy.Reason) audit.Line {
	t.Helper()
	lines := d.lines(t)
	last := lines[len(lines)-1]
	if last.Reason != reason || (reason == "") != (last.Decision == policy.Allow) {
		t.Errorf("the audit ends in %+v, want reason %q", last, reason)
	}
	return last
}

func (d *door) lines(t testing.TB) []audit.Line {
	t.Helper()
	data, err := os.ReadFile(d.config.Audit.File)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(secret)) || bytes.Contains(data, []byte(strings.ToLower(secret))) {
		t.Error("the audit holds the secret")
	}
	if _, err := audit.Verify(bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
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

// waitLines waits until the audit has n lines of requests: a line is written
// when the exchange has ended, which is after the client has its answer.
func (d *door) waitLines(t testing.TB, n int) []audit.Line {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		var out []audit.Line
		for _, l := range d.lines(t) {
			if l.Event == "request" {
				out = append(out, l)
			}
		}
		if len(out) >= n || time.Now().After(deadline) {
			if len(out) != n {
				t.Fatalf("%d lines of requests, want %d: %+v", len(out), n, out)
			}
			return out
		}
	}
}
