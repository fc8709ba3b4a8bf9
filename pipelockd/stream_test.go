package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Each event arrives while the upstream still waits to be allowed to write the
// next one, so an event that was held back would stop the test.
func TestEventsPassAtOnce(t *testing.T) {
	next := make(chan struct{})
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}, nil)
	for _, h2 := range []bool{false, true} {
		resp, err := d.client(t, h2).Do(request(t, "GET", d.url("/events"), nil))
		if err != nil {
			t.Fatal(err)
		}
		br := bufio.NewReader(resp.Body)
		for i := range 3 {
			if line, err := br.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("h2 %v: %q %v", h2, line, err)
			}
			_, _ = br.ReadString('\n')
			next <- struct{}{}
		}
		_ = resp.Body.Close()
	}
}

// A client that goes away takes the upstream's request with it.
func TestClientGoneCancelsUpstream(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(began)
		<-r.Context().Done()
		close(ended)
	}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := d.client(t, true).Do(request(t, "GET", d.url("/"), nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	<-began
	cancel()
	_ = resp.Body.Close()
	<-ended
}

func TestInformationalResponsesAndTrailersPass(t *testing.T) {
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.Header().Set("X-Bottle-Deny", "x")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("X-Bottle-Deny")
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	}, nil)
	for _, h2 := range []bool{false, true} {
		var early textproto.MIMEHeader
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code == http.StatusEarlyHints {
					early = h
				}
				return nil
			},
		})
		a := do(t, d.client(t, h2), request(t, "GET", d.url("/"), nil).WithContext(ctx))
		if a.body != "body" || a.Trailer.Get("X-Sum") != "42" {
			t.Errorf("h2 %v: %q, trailers %v", h2, a.body, a.Trailer)
		}
		if early.Get("Link") == "" || early.Get("X-Bottle-Deny") != "" {
			t.Errorf("h2 %v: early hints %v", h2, early)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	d := open(t, nil, nil)
	req := request(t, "POST", d.url("/"), strings.NewReader("hello"))
	req.Header.Set("Expect", "100-continue")
	if a := do(t, d.client(t, false), req); a.StatusCode != 200 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if seen := d.upstream.Seen(); len(seen) != 1 || string(seen[0].Body) != "hello" {
		t.Errorf("the upstream saw %+v", seen)
	}
}

// A redirect is handed to the client, whose next request is judged anew.
func TestRedirectsAreNotFollowed(t *testing.T) {
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://other.example/", http.StatusFound)
	}, nil)
	c := d.client(t, false)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := do(t, c, request(t, "GET", d.url("/"), nil)); a.StatusCode != http.StatusFound {
		t.Errorf("%s", a.Status)
	}
}

func TestReload(t *testing.T) {
	d := open(t, nil, nil)
	c := d.client(t, false) // one tunnel, kept open
	late := "https://late.example:" + d.upstream.Port() + "/"
	if a := do(t, c, request(t, "GET", d.url("/"), nil)); a.StatusCode != 200 {
		t.Fatal(a.Status)
	}
	if _, err := c.Do(request(t, "GET", late, nil)); err == nil {
		t.Fatal("a host that is not allowed yet was reached")
	}
	d.upstream.Seen()

	next := d.config
	next.Allow = []wire.AllowHost{{Host: "late.example:" + d.upstream.Port()}}
	if err := d.service.Reload(&next); err != nil {
		t.Fatal(err)
	}
	if a := do(t, c, request(t, "GET", late, nil)); a.StatusCode != 200 {
		t.Errorf("after the reload: %s %s", a.Status, a.body)
	}
	if seen := d.upstream.Seen(); len(seen) != 1 {
		t.Errorf("the upstream saw %+v", seen)
	}
	// The old tunnel obeys the new table.
	d.wantDenied(t, do(t, c, request(t, "GET", d.url("/"), nil)), policy.ReasonHostNotAllowed)

	// What cannot be loaded, or not be changed, leaves everything as it is.
	for name, change := range map[string]func(*wire.Pipelockd){
		"roots":  func(c *wire.Pipelockd) { c.UpstreamCA = []string{"/nowhere.pem"} },
		"CA":     func(c *wire.Pipelockd) { c.CA.Key = "/nowhere.key" },
		"listen": func(c *wire.Pipelockd) { c.Listen.Proxy = "127.0.0.1:1" },
		"dns":    func(c *wire.Pipelockd) { c.DNS = &wire.DNS{Listen: "127.0.0.1:0"} },
	} {
		bad := d.config
		change(&bad)
		if d.service.Reload(&bad) == nil {
			t.Errorf("a reload with another %s was accepted", name)
		}
	}
	if a := do(t, c, request(t, "GET", late, nil)); a.StatusCode != 200 {
		t.Errorf("after refused reloads: %s", a.Status)
	}
	// Pins and allow_private are part of the table, connections kept or not.
	d.upstream.Seen()
	next.AllowPrivate = nil
	if err := d.service.Reload(&next); err != nil {
		t.Fatal(err)
	}
	d.wantDenied(t, do(t, c, request(t, "GET", late, nil)), policy.ReasonAddressForbidden)
}
