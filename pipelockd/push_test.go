package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
)

// The last door refuses pushes itself: a bottle without routes has no other.
func TestPushIsRefused(t *testing.T) {
	d := open(t, nil, nil)
	for _, h2 := range []bool{false, true} {
		c := d.client(t, h2)
		for _, tt := range []struct{ method, target, body string }{
			{"GET", "/o/r.git/info/refs?service=git-receive-pack", ""},
			{"GET", "/o/r.git/info/refs?service=GIT%2Dreceive-pack", ""},
			{"POST", "/o/r.git/git-receive-pack", "0000"},
			{"POST", "/o/r.git/git%2Dreceive%2Dpack", "0000"},
			{"POST", "/o/r.git/info/lfs/objects/batch", `{"operation":"upload","objects":[{"oid":"aa","size":1}]}`},
			{"POST", "/o/r.git/info/lfs/objects/batch", `{"operation":"upload"}` + strings.Repeat(" ", 2<<20)},
			{"PUT", "/o/r.git/info/lfs/objects/aa", "data"},
		} {
			var body = strings.NewReader(tt.body)
			req := request(t, tt.method, d.url(tt.target), body)
			if len(tt.body) > wholeBody { // the answer may be lost while the client still sends
				if resp, err := c.Do(req); err == nil {
					_ = resp.Body.Close()
				}
				if seen := d.upstream.Seen(); len(seen) != 0 {
					t.Errorf("the upstream saw %+v", seen)
				}
				continue
			}
			d.wantDenied(t, do(t, c, req), policy.ReasonGitPush)
		}
		for _, tt := range []struct{ method, target, body string }{
			{"GET", "/o/r.git/info/refs?service=git-upload-pack", ""},
			{"POST", "/o/r.git/git-upload-pack", "0000"},
			{"POST", "/o/r.git/info/lfs/objects/batch", `{"operation":"download","objects":[{"oid":"aa","size":1}]}`},
		} {
			if a := do(t, c, request(t, tt.method, d.url(tt.target), strings.NewReader(tt.body))); a.StatusCode != 200 {
				t.Errorf("%s %s: %s %s", tt.method, tt.target, a.Status, a.body)
			}
			if seen := d.upstream.Seen(); len(seen) != 1 || string(seen[0].Body) != tt.body {
				t.Errorf("%s: the upstream saw %+v", tt.target, seen)
			}
		}
	}
	if got := len(d.service.bodies.taken); got != 0 {
		t.Errorf("%d units are still taken", got)
	}
}

func TestAmbiguousPathsAreRefused(t *testing.T) {
	d := open(t, nil, nil)
	c := d.client(t, false)
	for _, path := range []string{"/a/../b", "/a/%2e%2e/b", "/a//b", `/a\b`, "/a%5cb", "/a%00", "/%252e", "/a/..;/b", "/a%2f%2e%2e%2fb"} {
		req := request(t, "GET", d.url("/"), nil)
		req.URL.Opaque = path
		d.wantDenied(t, do(t, c, req), policy.ReasonAmbiguousPath)
	}
	for _, path := range []string{"/@scope%2fname", "/a%20b", "/a%25b?x=//", "/"} {
		if a := do(t, c, request(t, "GET", d.url(path), nil)); a.StatusCode != 200 {
			t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
	}
}

func TestMethodOverridesAreRemoved(t *testing.T) {
	d := open(t, nil, nil)
	for _, h2 := range []bool{false, true} {
		req := request(t, "POST", d.url("/"), strings.NewReader("x"))
		for _, name := range []string{"X-Http-Method-Override", "X-HTTP-Method", "X_method-override", "x_http_method_override"} {
			req.Header[name] = []string{"DELETE"}
		}
		if a := do(t, d.client(t, h2), req); a.StatusCode != 200 {
			t.Fatal(a.Status)
		}
		for _, seen := range d.upstream.Seen() {
			for name := range seen.Header {
				if strings.Contains(strings.ToLower(name), "method") {
					t.Errorf("h2 %v: the upstream saw %s", h2, name)
				}
			}
		}
	}
	h := http.Header{"X-Method-Override": {"PUT"}}
	cleanTrailer(h)
	if len(h) != 0 {
		t.Error("a trailer may override the method")
	}
}
