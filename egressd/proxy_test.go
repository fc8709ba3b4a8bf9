package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

func TestCredentialIsInjectedOnceAndTheAgentsOwnRemoved(t *testing.T) {
	c := startChain(t, nil, func(port string) []wire.Route {
		routes := defaultRoutes(port)
		routes[0].Auth.AgentCredential = wire.AgentCredentialStrip
		return routes
	})
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
		if want := resp.Proto; seen[0].Proto != want {
			t.Errorf("the upstream was spoken to in %s, the proxy in %s", seen[0].Proto, want)
		}
	}
	if l := c.lines(t, 2); l[0].Decision != policy.Allow || l[0].Rule != "routes[0].matches[0]" || l[0].Status != 200 || l[0].BytesIn != 5 || l[0].BytesOut != 2 {
		t.Errorf("audit: %+v", l)
	}
}

func TestDenialsReachNoUpstreamAndAreRecorded(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	for i, tc := range []struct {
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
		if last := c.lines(t, i+1)[i]; last.Reason != tc.want || last.Decision != policy.Deny || last.RequestID != p.RequestID {
			t.Errorf("%s %s: audit line %+v", tc.method, tc.path, last)
		}
	}
	if seen := c.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
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

func TestAuditHoldsNoSecretOfThePath(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	const key = "AKIA2OGYBAH6QPRD4GEX"
	resp, err := c.client(t, false).Get(c.url("api.example", "/v1/"+key))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if l := c.lines(t, 1)[0]; l.Path != "[masked]" {
		t.Errorf("the path is %q", l.Path)
	}
}

func TestUntrustedUpstreamIsRefused(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	c.reach(t, testkit.NewCA(t, "other"))
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

// TestFullDiskSendsNothing points the audit at a disk that is full: not even the
// first request may leave.
func TestFullDiskSendsNothing(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	full, err := audit.Open("/dev/full", "egressd", "test")
	if err != nil {
		t.Skip("this system has no /dev/full:", err)
	}
	c.service.Recorder = daemon.NewRecorder(daemon.Env{Log: slog.New(slog.DiscardHandler), Audit: full})
	resp, err := c.client(t, false).Get(c.url("api.example", "/v1/x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get(wire.DenyHeader); got != string(policy.ReasonAuditUnavailable) {
		t.Errorf("%s %s", resp.Status, got)
	}
	if seen := c.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}
