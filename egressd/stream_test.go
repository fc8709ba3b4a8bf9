package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

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
	// The first frame comes right behind the request, as some clients send it.
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: ws.example:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly", c.upstream.Port())
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	fmt.Fprint(conn, "ping")
	got := make([]byte, 9)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "earlyping" {
		t.Errorf("%q, %v", got, err)
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
