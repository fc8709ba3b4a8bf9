package mitm

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"
)

func TestUnreadRequestsAreReported(t *testing.T) {
	reported := make(chan Tunnel, 10)
	ca, dial := serveWith(t, Options{Unread: func(t Tunnel) { reported <- t }})
	const get = "GET / HTTP/1.1\r\nHost: api.example\r\n\r\n"
	for _, tc := range []struct {
		name, send      string
		answers, unread int
	}{
		{"good", get, 1, 0},
		{"two good", get + get, 2, 0},
		{"bad", "GET / HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: xchunked\r\n\r\n", 1, 1},
		{"good, then bad", get + "GET / HTTP/1.1\r\n\r\n", 2, 1},
		{"half", "GET / HTTP/1.1\r\nHos", 1, 1}, // answered with 400
		{"nothing", "", 0, 0},
	} {
		c := tls.Client(dial(), &tls.Config{RootCAs: ca.Pool(), ServerName: "api.example"})
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, tc.send); err != nil {
			t.Fatal(err)
		}
		if tc.send == "" {
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.CloseWrite()
		r, answers := bufio.NewReader(c), 0
		for {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				break
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			answers++
		}
		c.Close()
		for range tc.unread {
			select {
			case tun := <-reported:
				if tun.Host != "api.example" {
					t.Errorf("%s: reported for %v", tc.name, tun)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("%s: not reported", tc.name)
			}
		}
		if answers != tc.answers {
			t.Errorf("%s: %d answers, want %d", tc.name, answers, tc.answers)
		}
	}
	select {
	case tun := <-reported:
		t.Errorf("reported too often, for %v", tun)
	default:
	}
}
