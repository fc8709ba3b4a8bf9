package protocols

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// socket switches to WebSocket and sends back whatever comes, as it came.
func socket(w http.ResponseWriter, r *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer c.Close()
	fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	if rw.Flush() != nil {
		return
	}
	_, _ = io.Copy(c, rw) // until the client is gone
}

// TestWebSocket speaks, is silent for a while, and speaks again, where a route
// allows it; where none does, the upstream hears nothing.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	frame := []byte("\x82\x85\x01\x02\x03\x04hello") // masked, binary
	for name, allowed := range map[string]bool{"allowed": true, "not allowed": false} {
		t.Run(name, func(t *testing.T) {
			s := start(t, wire.Route{WebSocket: allowed})
			c, err := s.Dial(t.Context(), "http/1.1")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // of a network, which has deadlines
			fmt.Fprintf(c, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", s.Authority)
			in := bufio.NewReader(c)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !allowed {
				if resp.StatusCode != http.StatusForbidden || !strings.Contains(resp.Header.Get(wire.DenyHeader), "upgrade") || s.requests.Load() != 0 {
					t.Errorf("%s %v, the upstream saw %d requests", resp.Status, resp.Header, s.requests.Load())
				}
				return
			}
			if resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(resp.Status)
			}
			for range 2 {
				echo := make([]byte, len(frame))
				if _, err := c.Write(frame); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(in, echo); err != nil || string(echo) != string(frame) {
					t.Errorf("%q, %v", echo, err)
				}
				time.Sleep(time.Second)
			}
		})
	}
}
