package mitm

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

func TestMirrorKeepsTheProtocol(t *testing.T) {
	ca := testkit.NewCA(t, "test")
	up := testkit.NewUpstream(t, ca, nil, "127.0.0.1", "localhost")
	m := NewMirror(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}})
	defer m.CloseIdleConnections()
	for major, want := range map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0"} {
		for range 2 {
			req, err := http.NewRequest("GET", up.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.ProtoMajor = major
			resp, err := m.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if seen := up.Seen(); len(seen) != 1 || seen[0].Proto != want {
				t.Errorf("a request in HTTP/%d arrived as %+v", major, seen)
			}
		}
	}
}

// A server that ends its answer while the client's half stays open is heard: the
// client may be waiting for the end before it says more.
func TestAnswerEndsBeforeTheRequest(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "16")
		w.WriteHeader(http.StatusOK)
	}))
	up.EnableHTTP2 = true
	up.StartTLS()
	defer up.Close()
	m := NewMirror(up.Client().Transport.(*http.Transport).Clone())
	defer m.CloseIdleConnections()
	target, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{Transport: m, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	proxy.EnableHTTP2 = true
	proxy.StartTLS()
	defer proxy.Close()
	body, say := io.Pipe()
	defer say.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, proxy.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := proxy.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 || resp.ProtoMajor != 2 || resp.Trailer.Get("Grpc-Status") != "16" {
		t.Errorf("%s, %q, %v, trailers %v", resp.Proto, rest, err, resp.Trailer)
	}
}
