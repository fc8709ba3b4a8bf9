package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

var update = flag.Bool("update", false, "write docs/threats-egressd.md")

const threatsFile = "../docs/threats-egressd.md"

// attempt is one thing that an agent tries. Its texts are sent as they are, but
// for {host}, which is the allowed host with its port, and {port}.
type attempt struct {
	name string
	// connect is the authority of the tunnel, "{host}" when empty; "-" sends
	// to the proxy port itself.
	connect string
	// sni is the TLS server name, api.example when empty; "-" sends none.
	sni string
	// send is an HTTP/1.1 request inside the tunnel.
	send string
	// fields make an HTTP/2 request inside the tunnel, as "name: value".
	fields []string
	// want is the reason of the refusal; "" when the request arrives and seen
	// says with what left out.
	want policy.Reason
	// half says that the client stops sending there.
	half bool
	// anyRefusal is for what net/http or the TLS stack refuse in their words.
	anyRefusal bool
	// never must not reach the upstream in any part of a request.
	never string
	// arrives is how many requests reach the upstream.
	arrives int
	// cutOff is for a request that may have left when its body turns out to be
	// bad; the upstream may see its beginning.
	cutOff bool
}

// outcome is what became of an attempt.
type outcome struct {
	answer string // "403 host_not_allowed", "handshake refused", "stream reset"
	reason string // of the last answer
	ok     bool   // it was answered with success
}

// What the HTTP/2 layer answers to what it cannot read.
const (
	streamReset     = "stream reset"
	connectionEnded = "connection ended"
)

func TestThreats(t *testing.T) {
	c := startChain(t, reflecting, threatRoutes)
	var doc strings.Builder
	doc.WriteString(threatsHead)
	for _, group := range threatGroups {
		fmt.Fprintf(&doc, "\n## %s\n\n| tried | outcome | the upstream saw | audit |\n|---|---|---|---|\n", group.name)
		for _, a := range group.attempts {
			t.Run(group.name+"/"+a.name, func(t *testing.T) {
				doc.WriteString(c.judge(t, a))
			})
		}
	}
	if *update {
		if err := os.WriteFile(threatsFile, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(threatsFile); err != nil || string(want) != doc.String() {
		t.Errorf("docs/threats-egressd.md is not what happens (go test ./egressd -run TestThreats -update): %v", err)
	}
}

// judge makes an attempt, holds what became of it against what must, and returns
// its row of the table.
func (c *chain) judge(t *testing.T, a attempt) string {
	t.Helper()
	before := bytes.Count(readFile(t, c.auditFile), []byte("\n"))
	c.upstream.Seen()
	o := c.make(t, a)
	if a.cutOff {
		time.Sleep(300 * time.Millisecond) // what is on its way arrives
	}
	seen := c.upstream.Seen()
	for _, s := range seen {
		if a.never != "" && s.Contains(a.never) {
			t.Errorf("the upstream saw %q in %v", a.never, s)
		}
	}
	if len(seen) != a.arrives && !a.cutOff {
		t.Errorf("%d requests reached the upstream, want %d: %v", len(seen), a.arrives, seen)
	}
	refused := a.want != "" || a.anyRefusal
	if refused == o.ok || a.want != "" && o.reason != string(a.want) {
		t.Errorf("the outcome is %q, want %q", o.answer, cmp.Or(string(a.want), "success"))
	}
	line := "allow"
	switch {
	case o.answer == streamReset || o.answer == connectionEnded:
		line = "none: it never was a request"
	case refused:
		line = c.denialSince(t, before)
	}
	saw := describe(seen)
	if a.cutOff {
		saw = "its head at most"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", a.name, o.answer, saw, line)
}

// describe says what the upstream saw.
func describe(seen []testkit.Seen) string {
	switch {
	case len(seen) == 0:
		return "nothing"
	case len(seen) > 1:
		return fmt.Sprintf("%d requests", len(seen))
	}
	s := seen[0]
	text := s.Method + " " + strings.ReplaceAll(s.URI, "|", `\|`)
	if auth := s.Header["Authorization"]; len(auth) > 0 {
		text += fmt.Sprintf(", %d credential, the bottle's", len(auth))
	}
	return text
}

// denialSince waits for the audit line of a refusal.
func (c *chain) denialSince(t *testing.T, line int) string {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		for _, l := range c.auditLines(t)[line:] {
			if l.Decision == policy.Deny {
				return fmt.Sprintf("%s, %s", l.Event, l.Reason)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the audit has no line of it")
	return "none"
}

func (c *chain) auditLines(t *testing.T) []audit.Line {
	t.Helper()
	data := readFile(t, c.auditFile)
	if i := bytes.LastIndexByte(data, '\n'); i >= 0 {
		data = data[:i+1]
	}
	return parseLines(t, data)
}

// make carries out an attempt over a connection of its own.
func (c *chain) make(t *testing.T, a attempt) outcome {
	t.Helper()
	fill := strings.NewReplacer("{host}", "api.example:"+c.upstream.Port(), "{port}", c.upstream.Port()).Replace
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if a.connect == "-" {
		return exchange1(conn, fill(a.send), a.half)
	}
	authority := fill(cmp.Or(a.connect, "{host}"))
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", authority, authority)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return outcome{answer: "connection closed"}
	}
	if resp.StatusCode != http.StatusOK {
		return answered(resp)
	}
	if a.send == "" && a.fields == nil && a.sni == "" {
		return outcome{answer: "200", ok: true}
	}
	sni := cmp.Or(a.sni, "api.example")
	config := &tls.Config{RootCAs: c.ca.Pool(), ServerName: sni}
	if sni == "-" {
		config.ServerName, config.InsecureSkipVerify = "", true
	}
	if a.fields != nil {
		config.NextProtos = []string{"h2"}
	}
	tc := tls.Client(conn, config)
	if err := tc.Handshake(); err != nil {
		return outcome{answer: "handshake refused"}
	}
	if a.fields != nil {
		return exchange2(tc, a.fields, fill)
	}
	return exchange1(tc, fill(a.send), a.half)
}

// exchange1 sends HTTP/1.1 text and reads what is answered to all of it. The text
// ends the connection itself; half says that its sender does, in the middle.
func exchange1(conn net.Conn, send string, half bool) outcome {
	go func() {
		_, _ = io.WriteString(conn, send)
		if c, ok := conn.(interface{ CloseWrite() error }); ok && half {
			_ = c.CloseWrite()
		}
	}()
	r := bufio.NewReader(conn)
	var all []string
	var last outcome
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		last = answered(resp)
		all = append(all, last.answer)
	}
	if len(all) == 0 {
		return outcome{answer: "connection closed"}
	}
	last.answer = strings.Join(all, ", then ")
	return last
}

func answered(resp *http.Response) outcome {
	reason := resp.Header.Get(wire.DenyHeader)
	return outcome{
		answer: strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, reason)),
		reason: reason, ok: resp.StatusCode < 400,
	}
}

// exchange2 sends one HTTP/2 request whose fields nobody has checked.
func exchange2(conn net.Conn, fields []string, fill func(string) string) outcome {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		name, value, _ := strings.Cut(f[1:], ": ")
		_ = enc.WriteField(hpack.HeaderField{Name: f[:1] + name, Value: fill(value)})
	}
	_, _ = io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	dec := hpack.NewDecoder(4096, nil)
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			return outcome{answer: "connection closed"}
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			return answered2(dec, f)
		case *http2.RSTStreamFrame:
			return outcome{answer: streamReset}
		case *http2.GoAwayFrame:
			return outcome{answer: connectionEnded}
		}
	}
}

func answered2(dec *hpack.Decoder, f *http2.HeadersFrame) outcome {
	fields, _ := dec.DecodeFull(f.HeaderBlockFragment())
	value := func(name string) string {
		i := slices.IndexFunc(fields, func(h hpack.HeaderField) bool { return h.Name == name })
		if i < 0 {
			return ""
		}
		return fields[i].Value
	}
	reason := value(strings.ToLower(wire.DenyHeader))
	return outcome{
		answer: strings.TrimSpace(value(":status") + " " + reason), reason: reason,
		ok: strings.HasPrefix(value(":status"), "2"),
	}
}
