package main

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
)

func TestSecretInTheHead(t *testing.T) {
	d := open(t, nil, nil)
	tests := []struct {
		name, where string
		build       func() *http.Request
	}{
		{"path", "url", func() *http.Request { return request(t, "GET", d.url("/x/"+secret), nil) }},
		{"query", "url", func() *http.Request { return request(t, "GET", d.url("/?q="+secret), nil) }},
		{"escaped", "url", func() *http.Request {
			return request(t, "GET", d.url("/?q="+strings.ReplaceAll(secret, "_", "%5f")), nil)
		}},
		{"escaped twice", "url", func() *http.Request {
			return request(t, "GET", d.url("/?q="+strings.ReplaceAll(secret, "_", "%255f")), nil)
		}},
		{"header", "header:X-Note", withHeader(t, d, "X-Note", "see "+secret)},
		{"user agent", "header:User-Agent", withHeader(t, d, "User-Agent", secret)},
		{"accept", "header:Accept", withHeader(t, d, "Accept", secret)},
		{"content type", "header:Content-Type", withHeader(t, d, "Content-Type", "text/"+secret)},
		{"authorization", "header:Authorization", withHeader(t, d, "Authorization", "Bearer "+secret)},
		{"basic", "header:Authorization", withHeader(t, d, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("u:"+secret)))},
		{"cookie", "header:Cookie", withHeader(t, d, "Cookie", "a=b; c="+secret)},
		{"header name", "header name", withHeader(t, d, secret, "x")},
		{"method", "method", func() *http.Request { return request(t, secret, d.url("/"), nil) }},
	}
	for _, h2 := range []bool{false, true} {
		c := d.client(t, h2)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				l := d.wantDenied(t, do(t, c, tt.build()), policy.ReasonSecretFound)
				if l.Rule != "github-token" || !strings.Contains(l.Detail, tt.where+".") {
					t.Errorf("line %+v", l)
				}
			})
		}
	}
}

func withHeader(t *testing.T, d *door, name, value string) func() *http.Request {
	return func() *http.Request {
		r := request(t, "GET", d.url("/"), nil)
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		return r
	}
}

func compress(t *testing.T, coding string, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&buf)
	if coding == "deflate" {
		w = zlib.NewWriter(&buf)
	}
	_, err := w.Write(plain)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// unknown hides a reader's length, so that the body is sent in chunks.
type unknown struct{ io.Reader }

func TestSecretInTheBody(t *testing.T) {
	d := open(t, nil, nil)
	noise := make([]byte, 200<<10)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	form := url.Values{"t": {"a " + secret}}.Encode()
	var multi bytes.Buffer
	mw := multipart.NewWriter(&multi)
	part, _ := mw.CreateFormFile("f", "x.bin")
	_, _ = part.Write(append(noise, secret...))
	_ = mw.Close()
	bodies := []struct {
		name, contentType, coding string
		body                      []byte
	}{
		{"plain", "text/plain", "", []byte("x " + secret)},
		{"json", "application/json", "", []byte(`{"a":"` + secret + `"}`)},
		{"binary", "", "", append(bytes.Clone(noise), secret...)},
		{"multipart", mw.FormDataContentType(), "", multi.Bytes()},
		{"form", "application/x-www-form-urlencoded", "", []byte(strings.ReplaceAll(form, "_", "%5F"))},
		{"gzip", "", "gzip", compress(t, "gzip", append(bytes.Clone(noise), secret...))},
		{"two gzip members", "", "gzip", append(compress(t, "gzip", []byte("hello")), compress(t, "gzip", []byte(secret))...)},
		{"deflate", "", "deflate", compress(t, "deflate", []byte(secret))},
	}
	for _, h2 := range []bool{false, true} {
		c := d.client(t, h2)
		for _, tt := range bodies {
			for _, chunked := range []bool{false, true} {
				var body io.Reader = bytes.NewReader(tt.body)
				if chunked {
					body = unknown{body}
				}
				req := request(t, "POST", d.url("/"), body)
				req.Header.Set("Content-Type", tt.contentType)
				if tt.coding != "" {
					req.Header.Set("Content-Encoding", tt.coding)
				}
				l := d.wantDenied(t, do(t, c, req), policy.ReasonSecretFound)
				if t.Failed() {
					t.Fatalf("%s chunked=%v h2=%v", tt.name, chunked, h2)
				}
				if !strings.Contains(l.Detail, " stands in body.") {
					t.Errorf("line %+v", l)
				}
			}
		}
	}
}

func TestSecretInATrailer(t *testing.T) {
	trailers := make(chan http.Header, 16)
	d := open(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer
	}, nil)
	for _, size := range []int{10, 600 << 10} {
		for _, h2 := range []bool{false, true} {
			req := request(t, "POST", d.url("/"), unknown{strings.NewReader(strings.Repeat("q", size))})
			req.Trailer = http.Header{"X-Sum": {secret}}
			resp, err := d.client(t, h2).Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if size > wholeBody { // on its way when the trailer came
				if got := <-trailers; got.Get("X-Sum") != "" {
					t.Errorf("h2 %v: the trailer reached the upstream", h2)
				}
			}
		}
	}
	for _, l := range d.waitLines(t, 4) {
		if l.Reason != policy.ReasonSecretFound || !strings.Contains(l.Detail, "trailer:X-Sum") {
			t.Errorf("line %+v", l)
		}
	}
	if len(trailers) != 0 {
		t.Error("a short body with a secret in its trailer reached the upstream")
	}
}

func TestTrailersPass(t *testing.T) {
	d := open(t, nil, nil)
	for _, size := range []int{10, 600 << 10} {
		for _, h2 := range []bool{false, true} {
			req := request(t, "POST", d.url("/"), unknown{strings.NewReader(strings.Repeat("q", size))})
			req.Trailer = http.Header{"X-Sum": {"42"}, "Bottle-Relay": {"x"}}
			if !h2 { // where the server refuses such a trailer itself
				req.Trailer.Set("Authorization", "x")
			}
			if a := do(t, d.client(t, h2), req); a.StatusCode != 200 {
				t.Fatalf("%s %s", a.Status, a.body)
			}
			seen := d.upstream.Seen()
			if len(seen) != 1 || seen[0].Trailer.Get("X-Sum") != "42" || seen[0].Trailer.Get("Authorization")+seen[0].Trailer.Get("Bottle-Relay") != "" {
				t.Errorf("size %d h2 %v: trailers %+v", size, h2, seen)
			}
		}
	}
}

// arrivals is an upstream that keeps what reaches it of a body, however it ends.
func arrivals() (http.HandlerFunc, chan []byte) {
	got := make(chan []byte, 16)
	return func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- b
	}, got
}

// A long body is on its way before its end is known. The secret in it still
// must not get through.
func TestSecretAtTheEndOfALongBody(t *testing.T) {
	handler, got := arrivals()
	d := open(t, handler, nil)
	text := bytes.Repeat([]byte("some ordinary text, 64 bytes of it, and then more and more of it"), 20<<10)
	noise := make([]byte, 3<<19)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = "abcdefghijklmnopqrstuvwxyzABCDEF"[rng.IntN(32)]
	}
	plain := append(bytes.Clone(text), secret...)
	for _, tt := range []struct {
		name, coding string
		body         []byte
	}{
		{"plain", "", plain},
		{"more after it", "", append(append(bytes.Clone(plain), '\n'), text...)},
		{"gzip", "gzip", compress(t, "gzip", append(bytes.Clone(noise), secret...))},
		{"an archive", "", compress(t, "gzip", append(bytes.Clone(noise), secret...))},
		{"behind an archive", "", append(compress(t, "gzip", noise), secret...)},
		{"zstd", "zstd", squeeze(t, "zstd", append(bytes.Clone(noise), secret...), 1, 0)},
		{"br", "br", squeeze(t, "br", append(bytes.Clone(noise), secret...), 1, 0)},
		{"deflate, stored in the middle", "deflate", compress(t, "deflate", append(append(bytes.Clone(noise), secret...), noise...))},
	} {
		for _, h2 := range []bool{false, true} {
			for _, chunked := range []bool{false, true} {
				if len(tt.body) < wholeBody {
					t.Fatalf("%s: the body is too short for this test", tt.name)
				}
				var body io.Reader = bytes.NewReader(tt.body)
				if chunked {
					body = unknown{body}
				}
				req := request(t, "POST", d.url("/"), body)
				if tt.coding != "" {
					req.Header.Set("Content-Encoding", tt.coding)
				}
				resp, err := d.client(t, h2).Do(req)
				if err == nil { // the answer may be lost while the client still sends
					if resp.Header.Get("X-Bottle-Deny") != string(policy.ReasonSecretFound) {
						t.Errorf("%s: %s", tt.name, resp.Status)
					}
					_ = resp.Body.Close()
				}
				arrived := <-got
				if len(arrived) == 0 || len(arrived) >= len(tt.body) {
					t.Errorf("%s h2 %v: %d of %d bytes arrived", tt.name, h2, len(arrived), len(tt.body))
				}
				if holds(arrived, tt.coding) {
					t.Errorf("%s h2 %v chunked %v: the secret arrived", tt.name, h2, chunked)
				}
			}
		}
	}
	for _, l := range d.waitLines(t, 32) {
		if l.Reason != policy.ReasonSecretFound || l.Rule != "github-token" {
			t.Errorf("line %+v", l)
		}
	}
}

// holds decodes as far as that goes and looks for the secret.
func holds(b []byte, coding string) bool {
	var r io.Reader = bytes.NewReader(b)
	switch coding {
	case "gzip":
		r, _ = gzip.NewReader(r)
	case "deflate":
		r, _ = zlib.NewReader(r)
	case "zstd", "br":
		return bytes.Contains(plainOf(coding, b), []byte(secret))
	}
	if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil && coding == "" {
		r = io.MultiReader(z, bytes.NewReader(b))
	}
	plain, _ := io.ReadAll(r)
	return bytes.Contains(plain, []byte(secret))
}

func TestLongCleanBodiesPassUnchanged(t *testing.T) {
	d := open(t, nil, nil)
	noise := make([]byte, 3<<19)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	copy(noise[1<<20:], bytes.Repeat([]byte("text "), 100<<10))
	for coding, body := range map[string][]byte{"": noise, "zstd": squeeze(t, "zstd", noise, 1, 0), "br": squeeze(t, "br", noise, 1, 0), "gzip": compress(t, "gzip", noise), "deflate": compress(t, "deflate", noise), "archive": append(compress(t, "gzip", noise), "and a tail"...), "identity": noise[:300<<10]} {
		for _, h2 := range []bool{false, true} {
			for _, cut := range []int{len(body), wholeBody + 1, wholeBody, wholeBody - 1} {
				if cut != len(body) && coding != "" {
					continue
				}
				req := request(t, "PUT", d.url("/"), bytes.NewReader(body[:cut]))
				if coding != "" && coding != "archive" {
					req.Header.Set("Content-Encoding", coding)
				}
				if a := do(t, d.client(t, h2), req); a.StatusCode != 200 {
					t.Fatalf("%q: %s %s", coding, a.Status, a.body)
				}
				if seen := d.upstream.Seen(); len(seen) != 1 || !bytes.Equal(seen[0].Body, body[:cut]) {
					t.Fatalf("%q h2 %v: the body is changed", coding, h2)
				}
			}
		}
	}
}

func TestUnscannableBodies(t *testing.T) {
	d := open(t, nil, nil)
	bomb := compress(t, "gzip", make([]byte, 20<<20))
	for _, tt := range []struct {
		coding string
		body   []byte
	}{
		{"br", []byte("x")}, {"zstd", []byte("xxxxxx")}, {"gzip, gzip", []byte("x")}, {"compress", []byte("x")}, {"x", []byte("x")},
		{"gzip", []byte("not gzip")},
		{"gzip", compress(t, "gzip", []byte("cut off"))[:20]},
		{"gzip", append(compress(t, "gzip", []byte("a")), "and a tail"...)},
		{"deflate", []byte{0x4b, 0x04, 0x00}}, // raw deflate: zlib readers and others differ
		{"gzip", bomb},
	} {
		req := request(t, "POST", d.url("/"), bytes.NewReader(tt.body))
		req.Header.Set("Content-Encoding", tt.coding)
		d.wantDenied(t, do(t, d.client(t, false), req), policy.ReasonUnscannable)
	}
}

func TestRelayExemption(t *testing.T) {
	d := open(t, nil, nil)
	c := d.client(t, false)
	signed := func(change func(*http.Request)) *http.Request {
		req := request(t, "GET", d.url("/v1?a=b"), nil)
		req.Header.Set("Authorization", "Bearer "+secret)
		d.key.Sign(req, "request-1", []string{"Authorization"})
		if change != nil {
			change(req)
		}
		return req
	}
	if a := do(t, c, signed(nil)); a.StatusCode != 200 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	seen := d.upstream.Seen()
	if len(seen) != 1 || seen[0].Header.Get("Authorization") != "Bearer "+secret || seen[0].Header.Get("Bottle-Relay") != "" {
		t.Fatalf("the upstream saw %+v", seen)
	}
	if l := d.waitLines(t, 1)[0]; l.RequestID != "request-1" {
		t.Errorf("line %+v", l)
	}
	for name, tt := range map[string]struct {
		change func(*http.Request)
		reason policy.Reason
	}{
		"another value":  {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x"+secret) }, policy.ReasonRelayForged},
		"another path":   {func(r *http.Request) { r.URL.Path = "/v2" }, policy.ReasonRelayForged},
		"another method": {func(r *http.Request) { r.Method = "DELETE" }, policy.ReasonRelayForged},
		"rubbish":        {func(r *http.Request) { r.Header.Set("Bottle-Relay", "v1 id=x t=1 f=authorization mac=00") }, policy.ReasonRelayForged},
		"two":            {func(r *http.Request) { r.Header.Add("Bottle-Relay", r.Header.Get("Bottle-Relay")) }, policy.ReasonRelayForged},
		"another field":  {func(r *http.Request) { r.Header.Set("X-Note", secret) }, policy.ReasonSecretFound},
		"absent":         {func(r *http.Request) { r.Header.Del("Bottle-Relay") }, policy.ReasonSecretFound},
	} {
		t.Run(name, func(t *testing.T) {
			d.wantDenied(t, do(t, c, signed(tt.change)), tt.reason)
		})
	}
}

// Without egressd there is no key, and every relay header is a forgery.
func TestRelayHeaderWithoutKey(t *testing.T) {
	d := open(t, nil, nil)
	d.service.relayKey = (&door{}).key
	req := request(t, "GET", d.url("/"), nil)
	d.key.Sign(req, "x", nil)
	d.wantDenied(t, do(t, d.client(t, true), req), policy.ReasonRelayForged)
	if a := do(t, d.client(t, true), request(t, "GET", d.url("/"), nil)); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.body)
	}
}
