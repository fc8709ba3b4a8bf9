package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

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
