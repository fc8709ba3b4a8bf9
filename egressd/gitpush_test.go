package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

func TestLFSUploadsAreRefused(t *testing.T) {
	c := startChain(t, nil, func(port string) []wire.Route {
		return []wire.Route{{Host: "other.example:" + port}}
	})
	const batch = "/o/r.git/info/lfs/objects/batch"
	for _, tc := range []struct {
		method, path, body string
		pass               bool
	}{
		{"POST", batch, `{"operation":"download","objects":[{"oid":"x","size":1}]}`, true},
		{"GET", "/o/r.git/info/lfs/locks", "", true},
		{"POST", batch, `{"operation":"upload","objects":[]}`, false},
		{"POST", batch, `{"operation":"download","operation":"upload"}`, false},
		{"POST", batch, `{"operation":"upload","operation":"download"}`, false},
		{"POST", batch, `{"operation":"download","Operation":"upload"}`, false},
		{"POST", batch, `{"operation":"down\u006coad"}`, false},
		{"POST", batch, `{"operation":"download"}{"operation":"upload"}`, false},
		{"POST", batch, `{"operation":"download"`, false},
		{"POST", batch, `[]`, false},
		{"POST", batch, ``, false},
		{"POST", batch, `{"operation":"download","x":"` + strings.Repeat("x", 1<<20) + `"}`, false},
		{"POST", "/o/r.git/info/lfs/locks", `{}`, false},
		{"PUT", "/o/r.git/info/lfs/objects/abc", `x`, false},
		{"POST", "/o/r.git/info/lfs;x/objects/batch", `{"operation":"upload"}`, false},
		{"POST", "/lfs/objects/batch", `{"operation":"upload","objects":[{"oid":"x"}]}`, false},
		{"POST", "/api/objects/batch", `{"items":[1,2]}`, true},
		{"POST", "/o/r.git/INFO/lfs/objects/batch", `{"operation":"upload"}`, false},
	} {
		req, _ := http.NewRequest(tc.method, c.url("other.example", tc.path), strings.NewReader(tc.body))
		resp, err := c.client(t, true).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		seen := c.upstream.Seen()
		if tc.pass && (len(seen) != 1 || string(seen[0].Body) != tc.body) {
			t.Errorf("%s %s %.60s did not arrive: %s %v", tc.method, tc.path, tc.body, resp.Status, seen)
		}
		if !tc.pass && (len(seen) != 0 || resp.Header.Get(wire.DenyHeader) != string(policy.ReasonGitPush)) {
			t.Errorf("%s %s %.60s: %s, the upstream saw %d", tc.method, tc.path, tc.body, resp.Status, len(seen))
		}
	}
}
