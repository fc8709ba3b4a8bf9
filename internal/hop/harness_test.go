package hop

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

const host = "hop.example"

// server accepts TLS connections and has each served by its script.
type server struct {
	net.Listener
	client      *Client
	connections atomic.Int64
}

func listen(t testing.TB, script func(nth int64, c *tls.Conn, in *bufio.Reader)) *server {
	t.Helper()
	ca := testkit.NewCA(t, "hop")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	config := &tls.Config{Certificates: []tls.Certificate{ca.Leaf(t, host)}}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			nth := s.connections.Add(1)
			group.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				t := tls.Server(c, config)
				script(nth, t, bufio.NewReader(t))
			})
		}
	})
	s.client = New(&http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: ca.Pool()},
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: 4 << 10,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
		},
	})
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		_ = l.Close()
		group.Wait()
	})
	return s
}

// answering serves requests on a connection, the same answer to each.
func answering(answer string) func(int64, *tls.Conn, *bufio.Reader) {
	return func(_ int64, c *tls.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func request(t testing.TB, method, body string) *http.Request {
	t.Helper()
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+host+"/x", b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// do makes a request and returns status and body, or the error of either.
func (s *server) do(r *http.Request) (string, error) {
	resp, err := s.client.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, data), err
}

func (s *server) mustDo(t *testing.T, r *http.Request, want string) {
	t.Helper()
	if got, err := s.do(r); err != nil || got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}
