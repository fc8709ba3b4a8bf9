package main

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// reflecting answers as echo services do, with what it was sent.
func reflecting(w http.ResponseWriter, r *http.Request) {
	auth := r.Header.Get("Authorization")
	w.Header().Set("X-Echo", auth)
	w.Header().Set("Link", "</x>; token="+auth)
	switch r.URL.Path {
	case "/v1/early":
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "done")
	case "/v1/base64":
		fmt.Fprint(w, base64.StdEncoding.EncodeToString([]byte("x"+auth)))
	case "/v1/gzip":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, strings.Repeat("filler ", 10000)+auth)
		z.Close()
	case "/v1/br":
		w.Header().Set("Content-Encoding", "br")
		z := brotli.NewWriter(w)
		fmt.Fprint(z, auth)
		z.Close()
	case "/v1/unknown":
		w.Header().Set("Content-Encoding", "compress")
		fmt.Fprint(w, auth)
	case "/v1/chunks":
		for _, c := range auth {
			fmt.Fprint(w, string(c))
			w.(http.Flusher).Flush()
		}
	case "/v1/trailer":
		w.Header().Set("Trailer", "X-Late")
		fmt.Fprint(w, "done")
		w.Header().Set("X-Late", auth)
	case "/v1/twoce":
		w.Header()["Content-Encoding"] = []string{"identity", "gzip"}
		z := gzip.NewWriter(w)
		fmt.Fprint(z, auth)
		z.Close()
	case "/v1/name":
		w.Header().Set("X-Echo-"+strings.TrimPrefix(auth, "Bearer "), "1")
		fmt.Fprint(w, "done")
	case "/v1/range":
		http.ServeContent(w, r, "f", time.Time{}, strings.NewReader(auth))
	default:
		fmt.Fprintf(w, `{"authorization":"%s"}`, auth)
	}
}

func TestEchoedCredentialsAreScrubbed(t *testing.T) {
	c := startChain(t, reflecting, defaultRoutes)
	const token = "real-token"
	secrets := []string{token, "real-t", "al-token", base64.StdEncoding.EncodeToString([]byte("xBearer " + token))[16:24]}
	n := 0
	for _, h2 := range []bool{false, true} {
		for _, path := range []string{"plain", "early", "base64", "gzip", "br", "chunks", "trailer", "twoce", "name", "range"} {
			req, _ := http.NewRequest("GET", c.url("api.example", "/v1/"+path), nil)
			req.Header.Set("Accept-Encoding", "gzip, br")
			req.Header.Set("Range", "bytes=0-9")
			resp, err := c.client(t, h2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 || len(body) == 0 {
				t.Errorf("%s: %s %d bytes, %v", path, resp.Status, len(body), err)
			}
			all := fmt.Sprint(resp.Header, resp.Trailer, string(body))
			for _, s := range secrets {
				if strings.Contains(strings.ToLower(all), strings.ToLower(s)) {
					t.Errorf("%s (h2 %v): %q came back in %.200q", path, h2, s, all)
				}
			}
			if resp.Header.Get("X-Echo") != "Bearer bottle-pla" {
				t.Errorf("%s: X-Echo is %q", path, resp.Header.Get("X-Echo"))
			}
			if path == "trailer" && resp.Trailer.Get("X-Late") != "Bearer bottle-pla" {
				t.Errorf("the trailer (h2 %v) is %v", h2, resp.Trailer)
			}
			n++
			if last := c.lines(t, n)[n-1]; last.Decision != policy.Redact || last.Detail == "" {
				t.Errorf("%s: audit %+v", path, last)
			}
		}
	}
}

// TestStoredCredentialIsScrubbedOnOtherRoutes has the upstream keep what it was
// sent on a credentialed route and show it on an open one.
func TestStoredCredentialIsScrubbedOnOtherRoutes(t *testing.T) {
	var stored string
	c := startChain(t, func(w http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Authorization"); a != "" {
			stored = a
		}
		fmt.Fprint(w, stored)
	}, defaultRoutes)
	for _, u := range []string{c.url("api.example", "/v1/x"), c.url("ws.example", "/x")} {
		resp, err := c.client(t, false).Get(u)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "Bearer bottle-pla" {
			t.Errorf("%s: %q", u, body)
		}
	}
}

func TestUnreadableEncodingIsRefused(t *testing.T) {
	c := startChain(t, reflecting, defaultRoutes)
	resp, err := c.client(t, false).Get(c.url("api.example", "/v1/unknown"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.Header.Get(wire.DenyHeader) != string(policy.ReasonUnscannable) || strings.Contains(string(body), "real-token") {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestScrubCanBeLeftOutByRoute(t *testing.T) {
	off := false
	c := startChain(t, reflecting, func(port string) []wire.Route {
		r := defaultRoutes(port)
		r[0].Auth.Scrub = &off
		return r
	})
	resp, err := c.client(t, false).Get(c.url("api.example", "/v1/plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != `{"authorization":"Bearer real-token"}` {
		t.Errorf("%s", body)
	}
}

// TestUpgradedStreamIsScrubbed reads an echo of the credential off a connection
// that has switched protocols.
func TestUpgradedStreamIsScrubbed(t *testing.T) {
	c := startChain(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n<%s>", r.Header.Get("Authorization"))
	}, func(port string) []wire.Route {
		r := defaultRoutes(port)
		r[0].WebSocket = true
		return r
	})
	conn, err := c.tunnel(t, "api.example:"+c.upstream.Port(), "api.example")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /v1/ws HTTP/1.1\r\nHost: api.example:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", c.upstream.Port())
	r := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	if got, _ := io.ReadAll(r); string(got) != "<Bearer bottle-pla>" {
		t.Errorf("%q", got)
	}
}
