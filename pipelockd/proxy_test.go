package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

func TestAllowed(t *testing.T) {
	d := open(t, nil, nil)
	for _, h2 := range []bool{false, true} {
		c := d.client(t, h2)
		for _, method := range []string{"GET", "POST"} {
			var body io.Reader
			if method == "POST" {
				body = strings.NewReader("hello")
			}
			req := request(t, method, d.url("/a%2Fb/{c}?q=1;2&x=%zz"), body)
			req.Header.Set("Accept-Encoding", "br")
			req.Header.Set("X-Forwarded-For", "1.2.3.4")
			a := do(t, c, req)
			if a.StatusCode != 200 || a.body != "ok" || (a.ProtoMajor == 2) != h2 {
				t.Fatalf("%s %s %q", a.Proto, a.Status, a.body)
			}
			seen := d.upstream.Seen()
			if len(seen) != 1 || seen[0].Method != method || !strings.HasSuffix(seen[0].URI, "?q=1;2&x=%zz") || seen[0].Proto != a.Proto {
				t.Fatalf("the upstream saw %+v", seen)
			}
			if method == "POST" && string(seen[0].Body) != "hello" {
				t.Errorf("body %q", seen[0].Body)
			}
			if seen[0].Host != "api.example:"+d.upstream.Port() || seen[0].Header.Get("Accept-Encoding") != "br" {
				t.Errorf("the upstream saw %+v", seen[0])
			}
			for _, name := range []string{"Via", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Bottle-Relay"} {
				if v := seen[0].Header.Get(name); v != "" {
					t.Errorf("%s: %s reached the upstream", name, v)
				}
			}
		}
	}
	lines := d.waitLines(t, 4)
	if l := lines[3]; l.Decision != policy.Allow || l.Status != 200 || l.BytesIn != 5 || l.BytesOut != 2 || l.Rule != "allow[0]" || l.RequestID == "" {
		t.Errorf("line %+v", l)
	}
}

func TestDestinationRefused(t *testing.T) {
	d := open(t, nil, func(c *wire.Pipelockd, port string) {
		c.Allow = append(c.Allow, wire.AllowHost{Host: "late.example"})
	})
	c := d.client(t, false)
	port := d.upstream.Port()
	tests := []struct {
		authority string
		reason    policy.Reason
	}{
		{"other.example:" + port, policy.ReasonHostNotAllowed},
		{"api.example:443", policy.ReasonHostNotAllowed},
		{"late.example:22", policy.ReasonHostNotAllowed},
		{"xapi.example:" + port, policy.ReasonHostNotAllowed},
		{"api.example.:" + port, policy.ReasonBadAuthority},
		{"127.0.0.1:" + port, policy.ReasonBadAuthority},
		{"2130706433:" + port, policy.ReasonBadAuthority},
		{"0x7f.1:" + port, policy.ReasonBadAuthority},
		{"[::ffff:127.0.0.1]:" + port, policy.ReasonBadAuthority},
		{"api.example", policy.ReasonBadAuthority},
		{"api.example:0" + port, policy.ReasonBadAuthority},
		{"user@api.example:" + port, policy.ReasonBadAuthority},
		{secret + ".example:443", policy.ReasonHostNotAllowed},
	}
	for _, tt := range tests {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", tt.authority)
		resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: "CONNECT"})
		if err != nil {
			t.Fatalf("%s: %v", tt.authority, err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = conn.Close()
		if resp.StatusCode != 403 || resp.Header.Get(wire.DenyHeader) != string(tt.reason) || !strings.Contains(string(body), `"reason":"`+string(tt.reason)) {
			t.Errorf("CONNECT %s: %s %v %s", tt.authority, resp.Status, resp.Header, body)
		}
		if l := d.wantLine(t, tt.reason); l.Event != "connect" {
			t.Errorf("line %+v", l)
		}
	}
	// The same by plain HTTP, which needs an entry that names its port.
	for _, u := range []string{"http://other.example/", "http://late.example/", "http://late.example:443/", "http://127.0.0.1:" + port + "/"} {
		a := do(t, c, request(t, "GET", u, nil))
		if a.StatusCode != 403 {
			t.Errorf("%s: %s", u, a.Status)
		}
	}
	if seen := d.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}

// tunnel opens a tunnel and finishes TLS for serverName, in one write with the
// CONNECT if early.
func (d *door) tunnel(t *testing.T, serverName string) (*tls.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	authority := "api.example:" + d.upstream.Port()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", authority, authority)
	resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("CONNECT: %v %v", resp, err)
	}
	tc := tls.Client(conn, &tls.Config{RootCAs: d.ca.Pool(), ServerName: serverName, InsecureSkipVerify: serverName != "api.example"})
	return tc, bufio.NewReader(tc)
}

// oneByte keeps a buffered reader from taking more than the response.
type oneByte struct{ net.Conn }

func (o oneByte) Read(p []byte) (int, error) { return o.Conn.Read(p[:1]) }

func TestAuthorityMustAgree(t *testing.T) {
	d := open(t, nil, nil)
	port := d.upstream.Port()
	tests := []struct {
		head   string
		reason policy.Reason
	}{
		{"GET / HTTP/1.1\r\nHost: ws.example:" + port + "\r\n\r\n", policy.ReasonAuthorityMismatch},
		{"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n", policy.ReasonAuthorityMismatch},
		{"GET / HTTP/1.1\r\nHost: api.example:22\r\n\r\n", policy.ReasonAuthorityMismatch},
		{"GET / HTTP/1.1\r\nHost: 127.0.0.1:" + port + "\r\n\r\n", policy.ReasonBadAuthority},
		{"GET https://ws.example:" + port + "/ HTTP/1.1\r\nHost: api.example:" + port + "\r\n\r\n", policy.ReasonNestedProxy},
		{"CONNECT ws.example:" + port + " HTTP/1.1\r\nHost: ws.example:" + port + "\r\n\r\n", policy.ReasonNestedProxy},
		{"OPTIONS * HTTP/1.1\r\nHost: api.example:" + port + "\r\n\r\n", policy.ReasonBadRequest},
		{"TRACE / HTTP/1.1\r\nHost: api.example:" + port + "\r\n\r\n", policy.ReasonBadRequest},
		{"GET / HTTP/1.1\r\nHost: api.example:" + port + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", policy.ReasonUpgrade},
		{"GET / HTTP/1.1\r\nHost: api.example:" + port + "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", policy.ReasonUpgrade},
	}
	for _, tt := range tests {
		conn, br := d.tunnel(t, "api.example")
		_, _ = io.WriteString(conn, tt.head)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("%q: %v", tt.head, err)
		}
		if got := resp.Header.Get(wire.DenyHeader); got != string(tt.reason) {
			t.Errorf("%q: %s %s", tt.head, resp.Status, got)
		}
	}
	conn, _ := d.tunnel(t, "ws.example")
	if conn.Handshake() == nil {
		t.Error("a handshake for another name than the tunnel's succeeded")
	}
	if l := d.wantLine(t, policy.ReasonAuthorityMismatch); l.Event != "tls" {
		t.Errorf("line %+v", l)
	}
	if seen := d.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}

// A client may send its handshake without waiting for the answer to CONNECT.
func TestEarlyHandshake(t *testing.T) {
	d := open(t, nil, nil)
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	e := &eager{Conn: conn, connect: "CONNECT api.example:" + d.upstream.Port() + " HTTP/1.1\r\nHost: x\r\n\r\n"}
	tc := tls.Client(e, &tls.Config{RootCAs: d.ca.Pool(), ServerName: "api.example"})
	fmt.Fprintf(tc, "GET /early HTTP/1.1\r\nHost: api.example:%s\r\n\r\n", d.upstream.Port())
	resp, err := http.ReadResponse(bufio.NewReader(tc), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
}

// eager sends CONNECT in one write with the ClientHello and swallows the answer.
type eager struct {
	net.Conn
	connect  string
	answered bool
}

func (e *eager) Write(p []byte) (int, error) {
	if e.connect == "" {
		return e.Conn.Write(p)
	}
	_, err := e.Conn.Write(append([]byte(e.connect), p...))
	e.connect = ""
	return len(p), err
}

func (e *eager) Read(p []byte) (int, error) {
	if !e.answered {
		e.answered = true
		if _, err := http.ReadResponse(bufio.NewReaderSize(oneByte{e.Conn}, 16), nil); err != nil {
			return 0, err
		}
	}
	return e.Conn.Read(p)
}

// Names that lead where they must not are refused by address, and the listener
// there stays untouched.
func TestForbiddenAddresses(t *testing.T) {
	d := open(t, nil, func(c *wire.Pipelockd, port string) { c.AllowPrivate = nil })
	a := do(t, d.client(t, false), request(t, "GET", d.url("/"), nil))
	if l := d.wantDenied(t, a, policy.ReasonAddressForbidden); l.Status != 403 {
		t.Errorf("line %+v", l)
	}
	for _, address := range []string{"169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "100.64.0.1", "fd00::1", "0.0.0.0"} {
		d := open(t, nil, func(c *wire.Pipelockd, port string) {
			c.AllowPrivate, c.Hosts["api.example"] = []string{"192.168.0.0/16"}, address
		})
		a := do(t, d.client(t, false), request(t, "GET", d.url("/"), nil))
		d.wantDenied(t, a, policy.ReasonAddressForbidden)
	}
}

func TestUpstreamFailures(t *testing.T) {
	d := open(t, nil, func(c *wire.Pipelockd, port string) { c.UpstreamCA = nil })
	a := do(t, d.client(t, false), request(t, "POST", d.url("/"), strings.NewReader("x")))
	d.wantDenied(t, a, policy.ReasonUpstreamUntrusted)
	if a.StatusCode != 502 {
		t.Errorf("status %s", a.Status)
	}
	// A certificate of a trusted issuer, for another name.
	d = open(t, nil, func(c *wire.Pipelockd, port string) {
		c.Allow = append(c.Allow, wire.AllowHost{Host: "wrong.example:" + port})
		c.Hosts["wrong.example"] = "127.0.0.1"
	})
	a = do(t, d.client(t, false), request(t, "GET", "https://wrong.example:"+d.upstream.Port()+"/", nil))
	d.wantDenied(t, a, policy.ReasonUpstreamUntrusted)
	d.upstream.Listener.Close()
	a = do(t, d.client(t, false), request(t, "GET", d.url("/"), nil))
	d.wantDenied(t, a, policy.ReasonUpstreamUnreachable)
}

func TestPlainHTTP(t *testing.T) {
	var host, uri string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, uri = r.Host, r.RequestURI
		_, _ = io.WriteString(w, "plain")
	}))
	defer up.Close()
	_, port, _ := net.SplitHostPort(up.Listener.Addr().String())
	d := open(t, nil, func(c *wire.Pipelockd, _ string) {
		c.Allow = append(c.Allow, wire.AllowHost{Host: "api.example:" + port})
	})
	c := d.client(t, false)
	a := do(t, c, request(t, "GET", "http://api.example:"+port+"/x?y", nil))
	if a.body != "plain" || host != "api.example:"+port || uri != "/x?y" {
		t.Errorf("%s %q; the upstream saw %s %s", a.Status, a.body, host, uri)
	}
	uri = ""
	a = do(t, c, request(t, "GET", "http://api.example:"+port+"/"+secret, nil))
	d.wantDenied(t, a, policy.ReasonSecretFound)
	if uri != "" {
		t.Error("the secret left by plain HTTP")
	}
	// Not a proxy request at all.
	resp, err := http.Get("http://" + d.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get(wire.DenyHeader) != string(policy.ReasonBadRequest) {
		t.Errorf("a request for the proxy itself: %s", resp.Status)
	}
}

func TestAuditThatCannotBeWrittenDenies(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	d := open(t, nil, func(c *wire.Pipelockd, _ string) { c.Audit.File = "/dev/full" })
	c := d.client(t, false)
	first, err := c.Do(request(t, "GET", d.url("/1"), nil))
	if err == nil { // the line of the tunnel is the first that fails
		_ = first.Body.Close()
	}
	resp, err := c.Do(request(t, "GET", d.url("/2"), nil))
	if err == nil {
		defer resp.Body.Close()
		if resp.Header.Get(wire.DenyHeader) != string(policy.ReasonAuditUnavailable) {
			t.Errorf("answer %s", resp.Status)
		}
	}
	if seen := d.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}

func TestResponsesDoNotSpeakForTheBottle(t *testing.T) {
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		for _, n := range []string{"X-Bottle-Deny", "Bottle-Relay", "Alt-Svc"} {
			w.Header().Set(n, "x")
		}
		w.Header().Set("X-Own", "kept")
	}, nil)
	a := do(t, d.client(t, true), request(t, "GET", d.url("/"), nil))
	if a.Header.Get("X-Bottle-Deny")+a.Header.Get("Bottle-Relay")+a.Header.Get("Alt-Svc") != "" || a.Header.Get("X-Own") != "kept" {
		t.Errorf("headers %v", a.Header)
	}
}
