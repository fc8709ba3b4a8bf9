package hop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestConnectionsAreUsedAgainWhenThatIsSafe(t *testing.T) {
	for _, tc := range []struct {
		name, method, answer, want string
		connections                int64
	}{
		{"length", "GET", ok, "200 ok", 1},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", "200 ok", 1},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 ", 1},
		{"not modified with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304 ", 1},
		{"HEAD with a length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "200 ", 1},
		{"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 ", 1},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "200 ok", 3},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok", 3},
		{"a byte behind the body", "GET", ok + "X", "200 ok", 3},
		{"a response nobody asked for", "GET", ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "200 ok", 3},
		{"a body behind HEAD", "HEAD", ok, "200 ", 3},
		{"a body behind 204", "GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "204 ", 3},
		{"preliminary", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok, "200 ok", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := listen(t, answering(tc.answer))
			for range 3 {
				s.mustDo(t, request(t, tc.method, ""), tc.want)
			}
			if n := s.connections.Load(); n != tc.connections {
				t.Errorf("%d connections for three requests, want %d", n, tc.connections)
			}
		})
	}
}

// Bytes in a record of their own stand in TLS's buffer, or still on the socket.
func TestALateResponseIsNotTheNextOnes(t *testing.T) {
	for _, pause := range []time.Duration{0, 20 * time.Millisecond} {
		s := listen(t, func(nth int64, c *tls.Conn, in *bufio.Reader) {
			if nth > 1 {
				answering(ok)(nth, c, in)
				return
			}
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(c, ok)
			time.Sleep(pause)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			_, _ = io.Copy(io.Discard, in)
		})
		s.mustDo(t, request(t, "GET", ""), "200 ok")
		time.Sleep(60 * time.Millisecond)
		s.mustDo(t, request(t, "GET", ""), "200 ok")
		if n := s.connections.Load(); n != 2 {
			t.Errorf("pause %s: %d connections, want 2", pause, n)
		}
	}
}

func TestBadAnswersAreErrors(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":                 "",
		"not HTTP":                "SSH-2.0-x\r\n\r\n",
		"half a header":           "HTTP/1.1 200 OK\r\nContent-",
		"half a body":             "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"two lengths":             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"bad chunk":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n",
		"long header":             "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n\r\n",
		"endless preliminary":     strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 500) + ok,
		"switching without asked": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"preliminary with a body": "HTTP/1.1 102 Processing\r\nContent-Length: 2\r\n\r\nok" + ok,
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, func(_ int64, c *tls.Conn, in *bufio.Reader) {
				if _, err := http.ReadRequest(in); err == nil {
					_, _ = io.WriteString(c, answer)
					_ = c.Close()
				}
			})
			if got, err := s.do(request(t, "GET", "")); err == nil {
				t.Fatalf("got %q, want an error", got)
			}
			if n := s.connections.Load(); n != 1 {
				t.Errorf("%d connections, want 1: a new connection's failure is not repeated", n)
			}
		})
	}
}

// A server that closes a used connection without a word: a safe request is
// repeated, an unsafe one is not.
func TestRepeatsOnlyWhatIsSafe(t *testing.T) {
	for _, tc := range []struct {
		method, key string
		again       bool
	}{{"GET", "", true}, {"HEAD", "", true}, {"POST", "", false}, {"DELETE", "", false}, {"POST", "k", true}} {
		var seen atomic.Int64
		s := listen(t, func(nth int64, c *tls.Conn, in *bufio.Reader) {
			for i := 0; ; i++ {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				if seen.Add(1); nth == 1 && i == 1 {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		})
		s.mustDo(t, request(t, "GET", ""), "204 ")
		body := ""
		if tc.method == "POST" {
			body = "data"
		}
		r := request(t, tc.method, body)
		if tc.key != "" {
			r.Header.Set("Idempotency-Key", tc.key)
		}
		_, err := s.do(r)
		if want := map[bool]int64{true: 3, false: 2}[tc.again]; (err == nil) != tc.again || seen.Load() != want {
			t.Errorf("%s %q: %v, the server saw %d requests; want %d", tc.method, tc.key, err, seen.Load(), want)
		}
	}
}

func TestAConnectionClosedWhileIdleIsNotUsed(t *testing.T) {
	s := listen(t, func(_ int64, c *tls.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(c, ok)
		}
	})
	s.mustDo(t, request(t, "POST", "a"), "200 ok")
	time.Sleep(50 * time.Millisecond)
	s.mustDo(t, request(t, "POST", "b"), "200 ok") // could not have been repeated
}

func TestCancelling(t *testing.T) {
	s := listen(t, func(_ int64, c *tls.Conn, in *bufio.Reader) {
		if r, err := http.ReadRequest(in); err == nil && r.URL.Query().Has("body") {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
		}
		_, _ = io.Copy(io.Discard, in) // until the client goes
	})
	for _, query := range []string{"", "body"} {
		ctx, cancel := context.WithCancel(t.Context())
		r := request(t, "GET", "").WithContext(ctx)
		r.URL.RawQuery = query
		time.AfterFunc(20*time.Millisecond, cancel)
		if got, err := s.do(r); err == nil {
			t.Errorf("%q: got %q", query, got)
		} else if query == "" && !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", query, err)
		}
	}
}

func TestAnAbandonedBodyClosesItsConnection(t *testing.T) {
	s := listen(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100000)))
	for range 2 {
		resp, err := s.client.RoundTrip(request(t, "GET", ""))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadFull(resp.Body, make([]byte, 10))
		_ = resp.Body.Close()
	}
	if n := s.connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestPreliminaryResponsesAreTold(t *testing.T) {
	s := listen(t, answering("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+ok))
	var told []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		told = append(told, fmt.Sprint(code, h.Get("Link")))
		return nil
	}})
	s.mustDo(t, request(t, "GET", "").WithContext(ctx), "200 ok")
	if len(told) != 1 || told[0] != "103</a>" {
		t.Errorf("told %q", told)
	}
}

func TestTrailersArrive(t *testing.T) {
	s := listen(t, answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"))
	resp, err := s.client.RoundTrip(request(t, "GET", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Trailer.Get("X-T") != "1" {
		t.Errorf("%v, trailer %v", err, resp.Trailer)
	}
}

func TestAShortRequestBodySendsNothing(t *testing.T) {
	s := listen(t, answering(ok))
	r := request(t, "POST", "data")
	r.ContentLength = 9
	if got, err := s.do(r); err == nil {
		t.Errorf("got %q", got)
	}
	if n := s.connections.Load(); n != 0 {
		t.Errorf("%d connections, want none", n)
	}
}

func TestACertificateForAnotherNameIsRefused(t *testing.T) {
	s := listen(t, answering(ok))
	r := request(t, "GET", "")
	r.URL.Host = "other.example"
	var untrusted *tls.CertificateVerificationError
	if _, err := s.do(r); !errors.As(err, &untrusted) {
		t.Errorf("got %v", err)
	}
}

func TestClosedPoolsKeepNothing(t *testing.T) {
	s := listen(t, answering(ok))
	resp, err := s.client.RoundTrip(request(t, "GET", ""))
	if err != nil {
		t.Fatal(err)
	}
	s.client.CloseIdleConnections()
	_, _ = io.Copy(io.Discard, resp.Body)
	if s.client.pool.n != 0 {
		t.Error("a connection went back into a closed pool")
	}
	s.mustDo(t, request(t, "GET", ""), "200 ok")
	s.client.pool.timeout = time.Nanosecond
	s.client.pool.expire()
	if s.client.pool.n != 0 || len(s.client.pool.idle) != 0 {
		t.Error("a connection outlived its time")
	}
}

// What goes to the Transport is what the client must not take.
func TestTakes(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"plain http":     func(r *http.Request) { r.URL.Scheme = "http" },
		"upgrade":        func(r *http.Request) { r.Header.Set("Upgrade", "websocket") },
		"expect":         func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
		"unknown length": func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), -1 },
		"long":           func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), maxBody+1 },
		"trailer":        func(r *http.Request) { r.Trailer = http.Header{"X": nil} },
		"close":          func(r *http.Request) { r.Close = true },
		"bad name":       func(r *http.Request) { r.Header["a b"] = []string{"x"} },
		"no name":        func(r *http.Request) { r.Header[""] = []string{"x"} },
		"DEL in a value": func(r *http.Request) { r.Header["A"] = []string{"x\x7f"} },
		"bad value":      func(r *http.Request) { r.Header["A"] = []string{"x\r\ny"} },
	} {
		r := request(t, "GET", "")
		if !takes(r) {
			t.Fatal("does not take a plain GET")
		}
		if change(r); takes(r) {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	s := listen(t, func(_ int64, c *tls.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			data, _ := io.ReadAll(r.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(data), data)
		}
	})
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 20 {
				own := fmt.Sprintf("body %d %d", i, j)
				if got, err := s.do(request(t, "POST", own)); err != nil || got != "200 "+own {
					t.Errorf("got %q, %v; want %q", got, err, own)
				}
			}
		})
	}
	group.Wait()
}

// FuzzResponse has a server say anything: the client must end, and nothing of
// one answer may be the next one's.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{ok, "HTTP/1.1 204 No Content\r\n\r\n" + ok, "HTTP/1.1 100 Continue\r\n\r\n" + ok,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.0 200\r\n\r\nx"} {
		f.Add([]byte(seed))
	}
	var said atomic.Pointer[[]byte]
	s := listen(f, func(_ int64, c *tls.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if r.Method == http.MethodPut {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest")
				continue
			}
			_, _ = c.Write(*said.Load())
			if !bytes.HasPrefix(*said.Load(), []byte(ok)) {
				return
			}
		}
	})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) > 8<<10 { // more than one record may still be on its way
			t.Skip()
		}
		said.Store(&answer)
		_, _ = s.do(request(t, "GET", "")) // may be anything
		if got, err := s.do(request(t, "PUT", "")); err == nil && got != "200 honest" {
			t.Fatalf("after %q the next answer is %q", answer, got)
		}
	})
}

// BenchmarkRoundTrip is beside the Transport that it takes the place of.
func BenchmarkRoundTrip(b *testing.B) {
	u := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	u.StartTLS()
	defer u.Close()
	base := u.Client().Transport.(*http.Transport)
	for name, rt := range map[string]http.RoundTripper{"hop": New(base.Clone()), "transport": base} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, _ := http.NewRequest("GET", u.URL, nil)
				resp, err := rt.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}
