package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkHop compares a request through the door, all checks on, with a direct
// one, over kept connections.
func BenchmarkHop(b *testing.B) {
	answer := []byte(strings.Repeat("x", 1<<10))
	d := open(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(answer)
	}, nil)
	direct := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: d.upCA.Pool(), ServerName: "api.example"}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64,
	}}
	chat := []byte(strings.Repeat(`{"role":"user","content":"Read the npm_config and disk-usage of task 42, then explain ghosts."},`, 11000))
	for _, bb := range []struct {
		name   string
		client *http.Client
		url    string
		body   []byte
	}{
		{"direct/get1k", direct, d.upstream.URL, nil},
		{"door-h1/get1k", d.client(b, false), d.url("/x?y=z"), nil},
		{"door-h2/get1k", d.client(b, true), d.url("/x?y=z"), nil},
		{"direct/post1k", direct, d.upstream.URL, chat[:1<<10]},
		{"door-h1/post1k", d.client(b, false), d.url("/"), chat[:1<<10]},
		{"direct/post1M", direct, d.upstream.URL, chat[:1<<20]},
		{"door-h1/post1M", d.client(b, false), d.url("/"), chat[:1<<20]},
		{"door-h2/post1M", d.client(b, true), d.url("/"), chat[:1<<20]},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.body)))
			b.ReportAllocs()
			for b.Loop() {
				hop(b, bb.client, bb.url, bb.body)
			}
		})
	}
	client := d.client(b, false)
	b.Run("door-h1/get1k-parallel", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				hop(b, client, d.url("/"), nil)
			}
		})
	})
}

func hop(b *testing.B, c *http.Client, url string, body []byte) {
	method := "GET"
	var r io.Reader
	if body != nil {
		method, r = "POST", bytes.NewReader(body)
	}
	req, _ := http.NewRequest(method, url, r)
	resp, err := c.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
		b.Fatal(resp.Status, err)
	}
	_ = resp.Body.Close()
}
