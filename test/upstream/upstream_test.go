package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T) (*Server, *http.Client) {
	t.Helper()
	s, err := Start(Config{Listen: "127.0.0.1:0", Names: []string{"api.demo.example"}, Dir: t.TempDir(), KeepBody: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return s, &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func settle(t *testing.T, s *Server, m Mark) []Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	seen, err := s.Settle(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestRecordHoldsTheRequestAndTheAnswerNoCredential(t *testing.T) {
	s, client := start(t)
	before := s.Mark()
	req, _ := http.NewRequest(http.MethodPost, "https://api.demo.example/v1/hello?x=1", strings.NewReader("0123456789"))
	req.Header.Set("Authorization", "Bearer real")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	var h Hello
	if err := json.Unmarshal(body, &h); err != nil || h.Credentials["Authorization"] != Digest("Bearer real") || bytes.Contains(body, []byte("real")) {
		t.Errorf("the answer is %s (%v)", body, err)
	}
	seen := settle(t, s, before)
	if len(seen) != 1 || s.ConnectionsSince(before) != 1 {
		t.Fatalf("%d requests, %d connections", len(seen), s.ConnectionsSince(before))
	}
	r := seen[0]
	if r.Method != "POST" || r.URI != "/v1/hello?x=1" || r.Proto != "HTTP/2.0" || r.ServerName != "api.demo.example" || !r.Complete ||
		r.BodyBytes != 10 || string(r.Body) != "01234567" || r.BodySHA256 != Digest("0123456789") || !r.Contains("Bearer real") || r.Contains("89") {
		t.Errorf("recorded %+v", r)
	}
	line, err := os.ReadFile(filepath.Join(filepath.Dir(s.CAFile()), "requests.jsonl"))
	if err != nil || !bytes.Contains(line, []byte(`"uri":"/v1/hello?x=1"`)) {
		t.Errorf("requests.jsonl has %s (%v)", line, err)
	}
}

func TestRequestCutOffHalfWayIsRecorded(t *testing.T) {
	s, client := start(t)
	before := s.Mark()
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write([]byte("half"))
		for seen := s.Since(before); len(seen) == 0 || seen[0].BodyBytes < 4; seen = s.Since(before) {
			time.Sleep(time.Millisecond) // the client's deadline ends this, if nothing else does
		}
		w.CloseWithError(io.ErrUnexpectedEOF)
	}()
	if resp, err := client.Post("https://api.demo.example/v1/upload", "text/plain", r); err == nil {
		resp.Body.Close()
		t.Error("the half request was answered", resp.Status)
	}
	seen := settle(t, s, before)
	if len(seen) != 1 || seen[0].Complete || string(seen[0].Body) != "half" {
		t.Errorf("recorded %+v", seen)
	}
}

func TestPathsThatAreNotCanonicalArriveAsTheyAre(t *testing.T) {
	s, client := start(t)
	for _, path := range []string{"/v1//hello", "/v1/../admin", "/v1/x/..%2fadmin"} {
		before := s.Mark()
		req, _ := http.NewRequest(http.MethodGet, "https://api.demo.example/", nil)
		req.URL.Opaque = path
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if seen := settle(t, s, before); resp.StatusCode != http.StatusOK || len(seen) != 1 || seen[0].URI != path {
			t.Errorf("%s: %s, recorded %+v", path, resp.Status, seen)
		}
	}
}

func TestEventsWaitForTheirAcknowledgement(t *testing.T) {
	_, client := start(t)
	resp, err := client.Get("https://api.demo.example/v1/events?id=a&n=3")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	last, lines := "", bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "id: %d", &n); err == nil {
			ack, err := client.Get(fmt.Sprintf("https://api.demo.example/v1/ack?id=a&n=%d", n))
			if err != nil {
				t.Fatal(err)
			}
			ack.Body.Close()
		}
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if last != "data: all were acknowledged" {
		t.Errorf("the stream ended with %q", last)
	}
}

func TestTripwireNotesTCPAndUDP(t *testing.T) {
	w, err := NewTripwire("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"tcp", "udp"} {
		c, err := net.Dial(network, fmt.Sprintf("127.0.0.1:%d", w.Port()))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("x"))
		defer c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); len(w.Touched()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("noted %v", w.Touched())
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestBorrowRefusesWhatIsNotForDocumentation(t *testing.T) {
	if _, err := Borrow("8.8.8.8"); err == nil {
		t.Error("borrowed an address that belongs to somebody")
	}
}
