package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// TestControl makes sure that the way of the other tests leads to the upstream:
// a refusal proves nothing if everything fails.
func TestControl(t *testing.T) {
	w, b := inBottle(t)
	before := w.upstream.Mark()
	out := b.try(t, w.request("api", "GET", "/v1/hello?control"))
	if len(out[0].Answers) != 1 || out[0].Answers[0].Status != http.StatusOK {
		t.Fatalf("%+v", out[0])
	}
	if r := sawOne(t, w.upstream, before); r.URI != "/v1/hello?control" || r.Host != w.site("api") {
		t.Errorf("the upstream saw %+v", r)
	}
	for _, component := range []string{"egressd", "pipelockd"} {
		b.awaitLine(t, component, "the allowed request", func(l audit.Line) bool {
			return l.Event == "request" && l.Decision == policy.Allow && l.Host == w.site("api") && l.Path == "/v1/hello" && l.Status == http.StatusOK
		})
	}
}

func TestOtherHostPathAndMethodAreRefused(t *testing.T) {
	w, b := inBottle(t)
	other := w.request("api", "GET", "/v1/hello")
	other.Connect, other.Name = "other.demo.example:"+w.port, "other.demo.example"
	refused(t, w, b, []refusal{
		{"other host", other, policy.ReasonHostNotAllowed},
		{"other path", w.request("api", "GET", "/admin"), policy.ReasonPathNotAllowed},
		{"path with the prefix as a word only", w.request("api", "GET", "/v10/hello"), policy.ReasonPathNotAllowed},
		{"other method", w.request("api", "DELETE", "/v1/hello"), policy.ReasonMethodNotAllowed},
		{"write where only reads are allowed", w.request("api", "POST", "/readonly", "Content-Length: 0"), policy.ReasonMethodNotAllowed},
		{"unknown method", w.request("api", "FROB", "/v1/hello"), policy.ReasonMethodNotAllowed},
		{"TRACE", w.request("api", "TRACE", "/v1/hello"), policy.ReasonMethodNotAllowed},
		{"OPTIONS *", w.request("api", "OPTIONS", "*"), policy.ReasonBadRequest},
		{"upgrade where it is not allowed", w.request("open", "GET", "/v1/ws", upgrade...), policy.ReasonUpgrade},
	})
}

// upgrade are the fields of a WebSocket handshake without Connection, which
// [world.request] sets.
var upgrade = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}

func TestPathsWithTwoReadingsAreRefused(t *testing.T) {
	w, b := inBottle(t)
	var list []refusal
	for _, path := range []string{
		"/v1/../admin", "/v1/%2e%2e/admin", "/v1/.%2E/admin", "/v1/..;/admin", "/v1/..%3b/admin", "/v1/%252e%252e/admin",
		"/v1//admin", "//v1/hello", `/v1/..\admin`, "/v1/..%5cadmin", "/v1/..%2fadmin", "/v1/%00", "/v1/x%0d%0aHost:%20y", "/v1/./hello", "/v1/é",
	} {
		list = append(list, refusal{path, w.request("api", "GET", path), policy.ReasonAmbiguousPath})
	}
	refused(t, w, b, list)
}

func TestNamesThatDisagreeAreRefused(t *testing.T) {
	w, b := inBottle(t)
	good := w.request("api", "GET", "/v1/hello")
	with := func(f func(*attempt)) attempt {
		a := good
		f(&a)
		return a
	}
	host := func(value string) attempt {
		return with(func(a *attempt) {
			a.Send = fmt.Appendf(nil, "GET /v1/hello HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", value)
		})
	}
	open := strings.Split(w.site("open"), ":")[0]
	refused(t, w, b, []refusal{
		{"Host names another allowed host", host(w.site("open")), policy.ReasonAuthorityMismatch},
		{"Host names an unknown host", host("evil.example"), policy.ReasonAuthorityMismatch},
		{"Host names another port", host("api.demo.example:444"), policy.ReasonAuthorityMismatch},
		{"Host is an address", host(upstreamAddress), policy.ReasonBadAuthority},
		{"Host ends in a dot", host("api.demo.example."), policy.ReasonBadAuthority},
		{"TLS names another allowed host", with(func(a *attempt) { a.Name = open }), policy.ReasonAuthorityMismatch},
		{"TLS names an unknown host", with(func(a *attempt) { a.Name = "evil.example" }), policy.ReasonAuthorityMismatch},
		{"TLS names nobody", with(func(a *attempt) { a.Name = "" }), policy.ReasonAuthorityMismatch},
		{"absolute target within a tunnel", w.request("api", "GET", "https://evil.example/v1/hello"), policy.ReasonNestedProxy},
		{"absolute target with the same host", w.request("api", "GET", w.url("api", "/v1/hello")), policy.ReasonNestedProxy},
		{"CONNECT within a tunnel", w.request("api", "CONNECT", "evil.example:443"), policy.ReasonNestedProxy},
	})
}

func TestOtherPortsAndAddressesAreRefused(t *testing.T) {
	w, b := inBottle(t)
	tunnel := func(authority string) attempt {
		a := w.request("api", "GET", "/v1/hello")
		a.Connect = authority
		return a
	}
	plain := func(url, host string) attempt {
		return attempt{Send: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", url, host)}
	}
	list := []refusal{
		{"another port", tunnel("api.demo.example:444"), policy.ReasonHostNotAllowed},
		{"port 80", tunnel("api.demo.example:80"), policy.ReasonHostNotAllowed},
		{"port 0443", tunnel("api.demo.example:0443"), policy.ReasonBadAuthority},
		{"no port", tunnel("api.demo.example"), policy.ReasonBadAuthority},
		{"a trailing dot", tunnel("api.demo.example.:" + w.port), policy.ReasonBadAuthority},
		{"a suffix of an allowed name", tunnel("evil-api.demo.example:" + w.port), policy.ReasonHostNotAllowed},
		{"an allowed name as a prefix", tunnel("api.demo.example.evil.example:" + w.port), policy.ReasonHostNotAllowed},
		{"plain HTTP on port 80", plain("http://api.demo.example/v1/hello", "api.demo.example"), policy.ReasonHostNotAllowed},
		{"plain HTTP on a credentialed route", plain("http://api.demo.example:"+w.port+"/v1/hello", "api.demo.example:"+w.port), policy.ReasonPlaintextAuth},
		{"plain HTTP to an address", plain("http://"+upstreamAddress+"/", upstreamAddress), policy.ReasonBadAuthority},
	}
	for _, literal := range []string{
		upstreamAddress, "3325256724", "0xc6336414", "0306.063.0144.024", "198.51.25620", "[::ffff:198.51.100.20]", "127.0.0.1", "127.1", "0", "[::1]",
		"169.254.169.254",
	} {
		list = append(list, refusal{"address " + literal, tunnel(literal + ":" + w.port), policy.ReasonBadAuthority})
	}
	refused(t, w, b, list)
}

// TestNameThatLeadsToAPrivateAddressIsRefused asks for a host that the bottle
// allows and that is pinned to an address that it does not.
func TestNameThatLeadsToAPrivateAddressIsRefused(t *testing.T) {
	w, b := inBottle(t)
	before := w.inner.Mark()
	refused(t, w, b, []refusal{{"pinned to a private address", w.request("inner", "GET", "/v1/hello"), policy.ReasonAddressForbidden}})
	if n := w.inner.ConnectionsSince(before); n != 0 {
		t.Errorf("%d connections reached the private address", n)
	}
	b.awaitLine(t, "pipelockd", "the forbidden address", func(l audit.Line) bool {
		return l.Decision == policy.Deny && l.Reason == policy.ReasonAddressForbidden && strings.HasPrefix(l.Host, "inner.demo.example")
	})
}

// TestSecondRequestOnAConnectionIsJudgedByItself pipelines a forbidden request
// behind an allowed one.
func TestSecondRequestOnAConnectionIsJudgedByItself(t *testing.T) {
	w, b := inBottle(t)
	before := w.upstream.Mark()
	a := w.request("api", "GET", "/admin?second")
	a.Send = append(fmt.Appendf(nil, "GET /v1/hello?first HTTP/1.1\r\nHost: %s\r\n\r\n", w.site("api")), a.Send...)
	a.Answers = 2
	out := b.try(t, a)[0]
	if len(out.Answers) != 2 || out.Answers[0].Status != http.StatusOK {
		t.Fatalf("%+v", out)
	}
	checkDenial(t, b, out.Answers[1], policy.ReasonPathNotAllowed)
	if r := sawOne(t, w.upstream, before); r.URI != "/v1/hello?first" {
		t.Errorf("the upstream saw %s", r.URI)
	}
}

// TestUserInformationIsRefused: a Host of that shape is no HTTP, so the server
// itself answers, without a reason.
func TestUserInformationIsRefused(t *testing.T) {
	w, b := inBottle(t)
	before := w.upstream.Mark()
	inside := w.request("api", "GET", "/v1/hello")
	inside.Send = []byte("GET /v1/hello HTTP/1.1\r\nHost: api.demo.example@evil.example\r\nConnection: close\r\n\r\n")
	outside := w.request("api", "GET", "/v1/hello")
	outside.Connect = "x@api.demo.example:" + w.port
	out := b.try(t, inside, outside)
	if len(out[0].Answers) != 1 || out[0].Answers[0].Status != http.StatusBadRequest {
		t.Errorf("in the Host: %+v", out[0])
	}
	if out[1].Connect == nil || out[1].Connect.Status/100 != 4 {
		t.Errorf("in the CONNECT: %+v", out[1])
	}
	sawNothing(t, w.upstream, before)
}

// TestFramingTricksSmuggleNothing sends bodies whose length can be read in two
// ways, with a forbidden request inside. Whatever is answered, the upstream may
// see at most the outer request.
func TestFramingTricksSmuggleNothing(t *testing.T) {
	w, b := inBottle(t)
	before := w.upstream.Mark()
	const inner = "GET /admin HTTP/1.1\r\nHost: api.demo.example\r\n\r\n"
	var attempts []attempt
	for _, fields := range [][]string{
		{"Content-Length: 4", "Transfer-Encoding: chunked"},
		{"Transfer-Encoding: chunked", "Transfer-Encoding: identity"},
		{"Transfer-Encoding: xchunked", fmt.Sprintf("Content-Length: %d", 5+len(inner))},
		{"Content-Length: 5", fmt.Sprintf("Content-Length: %d", 5+len(inner))},
		{"Content-Length: +5"},
		{"Transfer-Encoding : chunked", "Content-Length: 5"},
	} {
		a := w.request("api", "POST", "/v1/echo?framing", fields...)
		a.Send = append(a.Send, "0\r\n\r\n"+inner...)
		attempts = append(attempts, a)
	}
	b.try(t, attempts...)
	for _, r := range seenSince(t, w.upstream, before) {
		if r.URI != "/v1/echo?framing" || r.Contains("admin") {
			t.Errorf("the upstream saw %s %s with %q", r.Method, r.URI, r.Body)
		}
	}
}
