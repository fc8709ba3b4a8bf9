package mitm

import (
	"crypto/tls"
	"net/http"
	"testing"

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
