package dnsanswer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/bottlesuite/bottle/internal/wire"
)

var names = map[string]string{"egress": "10.213.0.2", "Git-Gate": "10.213.0.3"}

type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(name, qtype string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, qtype+" "+name)
}

func start(t *testing.T) (address string, reported *log) {
	t.Helper()
	reported = &log{}
	s, err := Listen(wire.DNS{Listen: "127.0.0.1:0", Names: names}, reported.add)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s.Addr().String(), reported
}

func resolver(address, network string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
}

func TestGoResolver(t *testing.T) {
	address, reported := start(t)
	for _, network := range []string{"udp", "tcp"} {
		r := resolver(address, network)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for name, want := range map[string]string{"egress.": "10.213.0.2", "git-gate.": "10.213.0.3", "EGRESS.": "10.213.0.2"} {
			got, err := r.LookupHost(ctx, name) // asks for A and AAAA
			if err != nil || !slices.Equal(got, []string{want}) {
				t.Errorf("%s %s: %v, %v", network, name, got, err)
			}
		}
		for _, name := range []string{"example.com.", "secret.egress.", "egress.example.com."} {
			_, err := r.LookupHost(ctx, name)
			var dnsErr *net.DNSError
			if !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
				t.Errorf("%s %s: %v, want not found", network, name, err)
			}
		}
		if _, err := r.LookupTXT(ctx, "c2VjcmV0.example.com."); err == nil {
			t.Errorf("%s: a TXT record was answered", network)
		}
	}
	reported.mu.Lock()
	defer reported.mu.Unlock()
	if !slices.Contains(reported.lines, "A example.com") || !slices.Contains(reported.lines, "TXT c2vjcmv0.example.com") {
		t.Errorf("reported: %v", reported.lines)
	}
	for _, l := range reported.lines {
		if strings.HasSuffix(l, " egress") {
			t.Errorf("a known name is reported: %s", l)
		}
	}
}

func query(t *testing.T, name string, qtype dnsmessage.Type, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: qtype, Class: dnsmessage.ClassINET}},
	}
	if change != nil {
		change(&m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnswer(t *testing.T) {
	z, err := newZone(wire.DNS{Names: names})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		packet  []byte
		silent  bool
		code    dnsmessage.RCode
		answers int
		denied  string
	}{
		{"A", query(t, "egress.", dnsmessage.TypeA, nil), false, dnsmessage.RCodeSuccess, 1, ""},
		{"mixed case", query(t, "eGrEsS.", dnsmessage.TypeA, nil), false, dnsmessage.RCodeSuccess, 1, ""},
		{"AAAA", query(t, "egress.", dnsmessage.TypeAAAA, nil), false, dnsmessage.RCodeSuccess, 0, ""},
		{"TXT", query(t, "egress.", dnsmessage.TypeTXT, nil), false, dnsmessage.RCodeSuccess, 0, ""},
		{"type 65", query(t, "egress.", 65, nil), false, dnsmessage.RCodeSuccess, 0, ""},
		{"unknown", query(t, "a.example.", dnsmessage.TypeMX, nil), false, dnsmessage.RCodeNameError, 0, "MX a.example"},
		{"root", query(t, ".", dnsmessage.TypeNS, nil), false, dnsmessage.RCodeNameError, 0, "NS "},
		{"escape", query(t, "\x1b[2J.", dnsmessage.TypeA, nil), false, dnsmessage.RCodeNameError, 0, `A \x1b[2j`},
		{"chaos", query(t, "egress.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }), false, dnsmessage.RCodeNameError, 0, "A egress"},
		{"update", query(t, "egress.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.OpCode = 5 }), false, dnsmessage.RCodeNotImplemented, 0, ""},
		{"two questions", query(t, "egress.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), false, dnsmessage.RCodeFormatError, 0, ""},
		{"no question", query(t, "egress.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = nil }), false, dnsmessage.RCodeFormatError, 0, ""},
		{"cut off", query(t, "egress.", dnsmessage.TypeA, nil)[:18], false, dnsmessage.RCodeFormatError, 0, ""},
		{"a response", query(t, "egress.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true }), true, 0, 0, ""},
		{"short", []byte{1, 2, 3}, true, 0, 0, ""},
		{"empty", nil, true, 0, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, no := z.answer(tt.packet)
			if (response == nil) != tt.silent {
				t.Fatalf("response %x", response)
			}
			if no == nil && tt.denied != "" || no != nil && no.qtype+" "+no.name != tt.denied {
				t.Errorf("denied %+v, want %q", no, tt.denied)
			}
			if tt.silent {
				return
			}
			var m dnsmessage.Message
			if err := m.Unpack(response); err != nil {
				t.Fatal(err)
			}
			if m.ID != 4711 || !m.Response || m.RCode != tt.code || len(m.Answers) != tt.answers {
				t.Errorf("response %+v", m)
			}
		})
	}
}

func TestEDNS(t *testing.T) {
	z, _ := newZone(wire.DNS{Names: names})
	response, _ := z.answer(query(t, "egress.", dnsmessage.TypeA, func(m *dnsmessage.Message) {
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(".")}
		_ = h.SetEDNS0(4096, 0, false)
		m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
	}))
	var m dnsmessage.Message
	if err := m.Unpack(response); err != nil || len(m.Additionals) != 1 || len(m.Answers) != 1 {
		t.Errorf("%v, %+v", err, m)
	}
}

// A connection that sends rubbish, or more of them than there are slots, leaves
// the answerer working.
func TestTCPIsBounded(t *testing.T) {
	address, _ := start(t)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	big := dial()
	_, _ = big.Write([]byte{0xff, 0xff, 0, 0})
	if _, err := big.Read(make([]byte, 1)); err == nil {
		t.Error("an oversized message was answered")
	}
	ask := func(c net.Conn) error {
		q := query(t, "egress.", dnsmessage.TypeA, nil)
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
		_, err := io.ReadFull(c, make([]byte, 12))
		return err
	}
	var held []net.Conn
	for range tcpConns {
		c := dial()
		if err := ask(c); err != nil { // an answer proves that it holds a slot
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if err := ask(dial()); err == nil {
		t.Error("one connection more than there are slots was answered")
	}
	_ = held[0].Close()
	if _, err := resolver(address, "udp").LookupHost(context.Background(), "egress."); err != nil {
		t.Errorf("UDP suffers from full TCP: %v", err)
	}
}

func TestReportsAreBounded(t *testing.T) {
	var got log
	now := time.Unix(1000, 0)
	l := &limiter{report: got.add, now: func() time.Time { return now }}
	for range 1000 {
		l.add("x", "A")
	}
	if len(got.lines) != reports {
		t.Errorf("%d reports at once, want %d", len(got.lines), reports)
	}
	now = now.Add(reportEvery)
	l.add("y", "A")
	if last := got.lines[len(got.lines)-2:]; last[0] != " (980 more names)" || last[1] != "A y" {
		t.Errorf("the reports end in %q", last)
	}
}

func TestListenRefuses(t *testing.T) {
	for _, n := range []map[string]string{{"a": "::1"}, {"a": "x"}, {"": "10.0.0.1"}, {strings.Repeat("a", 300): "10.0.0.1"}} {
		if _, err := Listen(wire.DNS{Listen: "127.0.0.1:0", Names: n}, nil); err == nil {
			t.Errorf("names %.40v are accepted", n)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	z, _ := newZone(wire.DNS{Names: names})
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06egress\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x00\x00\x10\x00\x01\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		response, no := z.answer(packet)
		if response == nil {
			return
		}
		if len(response) > maxMessage {
			t.Fatalf("a response of %d bytes", len(response))
		}
		var m dnsmessage.Message
		if err := m.Unpack(response); err != nil || !m.Response {
			t.Fatalf("a response that does not parse: %v", err)
		}
		if (no != nil) != (m.RCode == dnsmessage.RCodeNameError) {
			t.Fatalf("%v with %v", no, m.RCode)
		}
		for _, a := range m.Answers {
			if _, ok := a.Body.(*dnsmessage.AResource); !ok {
				t.Fatalf("answered %v", a)
			}
		}
	})
}
