package mitm

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// serve starts a server for one tunnel host; dial opens a raw tunnel.
func serve(t *testing.T, refused func(Tunnel, string)) (ca *testkit.CA, dial func() net.Conn) {
	t.Helper()
	return serveWith(t, Options{Refused: refused})
}

// serveWith is serve with more options; Leaf is filled in, and a Handler where
// there is none.
func serveWith(t *testing.T, opts Options) (ca *testkit.CA, dial func() net.Conn) {
	t.Helper()
	ca = testkit.NewCA(t, "test")
	leaf := ca.Leaf(t, "api.example", "other.example")
	opts.Leaf = func(string) (*tls.Certificate, error) { return &leaf, nil }
	if opts.Handler == nil {
		opts.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tun, ok := TunnelFrom(r.Context())
			if !ok || tun.Authority() != "api.example:443" {
				t.Errorf("the handler got the tunnel %v", tun)
			}
			_, _ = io.WriteString(w, r.Proto)
		})
	}
	s := New(opts)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.ServeConn(c, Tunnel{"api.example", "443"})
		}
	}()
	return ca, func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func TestBothProtocols(t *testing.T) {
	ca, dial := serve(t, nil)
	for _, want := range []string{"HTTP/1.1", "HTTP/2.0"} {
		tr := &http.Transport{
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial(), nil },
			TLSClientConfig:   &tls.Config{RootCAs: ca.Pool()},
			ForceAttemptHTTP2: want == "HTTP/2.0",
		}
		resp, err := (&http.Client{Transport: tr}).Get("https://api.example/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		tr.CloseIdleConnections()
		if string(body) != want {
			t.Errorf("got %s, want %s", body, want)
		}
	}
}

func TestServerNameMustBeTheTunnelsHost(t *testing.T) {
	names := make(chan string, 1)
	ca, dial := serve(t, func(_ Tunnel, name string) { names <- name })
	for _, name := range []string{"other.example", "api.example.evil.example", ""} {
		c := tls.Client(dial(), &tls.Config{RootCAs: ca.Pool(), ServerName: name, InsecureSkipVerify: true})
		if err := c.Handshake(); err == nil {
			t.Errorf("a handshake for %q succeeded", name)
		}
		c.Close()
		if got := <-names; got != name {
			t.Errorf("refused %q, want %q", got, name)
		}
	}
}

// TestServerNameIsCheckedOnResumption resumes a session of one name in a tunnel
// to another.
func TestServerNameIsCheckedOnResumption(t *testing.T) {
	names := make(chan string, 1)
	ca, dial := serve(t, func(_ Tunnel, name string) { names <- name })
	cache := tls.NewLRUClientSessionCache(4)
	config := &tls.Config{RootCAs: ca.Pool(), ServerName: "api.example", ClientSessionCache: cache}
	c := tls.Client(dial(), config)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // takes the ticket in
	session, ok := cache.Get("api.example")
	if !ok {
		t.Fatal("the server gave no ticket")
	}
	cache.Put("other.example", session)
	config = config.Clone()
	config.ServerName = "other.example"
	c = tls.Client(dial(), config)
	if err := c.Handshake(); err == nil {
		t.Error("a session was resumed under another name")
	}
	if got := <-names; got != "other.example" {
		t.Errorf("refused %q", got)
	}
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	enter, leave := make(chan struct{}), make(chan struct{})
	b := bounded{http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		enter <- struct{}{}
		<-leave
	}), make(chan struct{}, 1)}
	for range 2 {
		go b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	<-enter
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(gone))
	select {
	case <-enter:
		t.Error("two requests are in flight")
	default:
	}
	leave <- struct{}{}
	<-enter // the second one's turn
	leave <- struct{}{}
}
