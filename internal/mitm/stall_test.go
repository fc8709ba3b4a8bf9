package mitm

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// TestStalledBodyEnds sends half a body and waits, in both protocols.
func TestStalledBodyEnds(t *testing.T) {
	ended := make(chan error, 1)
	ca, dial := serveWith(t, Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := newPatient(w, r, 50*time.Millisecond)
		_, err := io.ReadAll(body)
		ended <- err
	})})
	for _, h2 := range []bool{false, true} {
		tr := &http.Transport{
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial(), nil },
			TLSClientConfig:   &tls.Config{RootCAs: ca.Pool()},
			ForceAttemptHTTP2: h2,
		}
		body, send := io.Pipe()
		go func() { _, _ = send.Write([]byte("half")) }()
		go func() {
			resp, err := (&http.Client{Transport: tr}).Post("https://api.example/", "text/plain", body)
			if err == nil {
				resp.Body.Close()
			}
		}()
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("HTTP/2 %v: ended with %v", h2, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("HTTP/2 %v: still reading", h2)
		}
		send.Close()
		tr.CloseIdleConnections()
	}
}

// TestPatienceEndsWithTheBody has the response come long after the body: what
// the body was waited for must not end the connection then.
func TestPatienceEndsWithTheBody(t *testing.T) {
	ca, dial := serveWith(t, Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := newPatient(w, r, 30*time.Millisecond)
		_, _ = io.ReadAll(body)
		select {
		case <-r.Context().Done():
		case <-time.After(120 * time.Millisecond):
			fmt.Fprint(w, "late")
		}
	})})
	c := tls.Client(dial(), &tls.Config{RootCAs: ca.Pool(), ServerName: "api.example"})
	defer c.Close()
	r := bufio.NewReader(c)
	for range 2 {
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 2\r\n\r\nhi")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != "late" {
			t.Errorf("got %q", body)
		}
	}
}

// slow writes a few bytes at a time.
type slow struct{ net.Conn }

func (c slow) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestServerNameInALargeSplitHello spreads a ClientHello of several KiB over as
// many segments as it has bytes.
func TestServerNameInALargeSplitHello(t *testing.T) {
	ca, dial := serve(t, nil)
	var protocols []string
	for i := range 300 {
		protocols = append(protocols, fmt.Sprintf("protocol-%d", i))
	}
	for name, want := range map[string]bool{"api.example": true, "other.example": false} {
		raw := dial()
		c := tls.Client(slow{raw}, &tls.Config{RootCAs: ca.Pool(), ServerName: name, NextProtos: append(protocols, "http/1.1")})
		_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
		if err := c.Handshake(); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		raw.Close()
	}
}

// A transport reads a body on when its upstream has answered early and the handler has
// returned, over HTTP/2 as well.
func TestPatienceAfterItsHandler(t *testing.T) {
	bodies := make(chan io.ReadCloser, 1)
	returned := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, end := newPatient(w, r, time.Minute)
		defer end()
		bodies <- body
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	in, out := io.Pipe()
	defer out.Close()
	go func() {
		defer close(returned)
		resp, err := server.Client().Post(server.URL, "text/plain", in)
		if err != nil {
			t.Error(err)
			return
		}
		if resp.ProtoMajor != 2 {
			t.Errorf("it was served over %s", resp.Proto)
		}
		_ = resp.Body.Close()
	}()
	body := <-bodies
	<-returned
	for range 100 { // the server lets go of the writer a moment after the answer
		if _, err := body.Read(make([]byte, 16)); err == nil {
			t.Fatal("a body was read behind its handler")
		}
		time.Sleep(time.Millisecond)
	}
}
