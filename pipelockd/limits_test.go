package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

func TestByteBudget(t *testing.T) {
	for name, change := range map[string]func(*wire.Pipelockd, string){
		"bottle": func(c *wire.Pipelockd, _ string) { c.Limits.BottleBytes = 600 << 10 },
		"host":   func(c *wire.Pipelockd, _ string) { c.Limits.HostBytes = 600 << 10 },
		"entry":  func(c *wire.Pipelockd, _ string) { c.Allow[0].MaxBytes = 600 << 10; c.Limits.HostBytes = 1 },
	} {
		d := open(t, nil, change)
		body := bytes.Repeat([]byte("q "), 100<<10)
		for i := range 2 {
			if a := do(t, d.client(t, false), request(t, "POST", d.url("/"), bytes.NewReader(body))); a.StatusCode != 200 {
				t.Fatalf("%s: request %d: %s %s", name, i, a.Status, a.body)
			}
		}
		d.upstream.Seen()
		d.wantDenied(t, do(t, d.client(t, false), request(t, "POST", d.url("/"), bytes.NewReader(body))), policy.ReasonBudget)
		// It is spent: a request without a body does not pass either.
		d.wantDenied(t, do(t, d.client(t, true), request(t, "GET", d.url("/"), nil)), policy.ReasonBudget)
	}
}

// A long body is cut off when the budget ends in the middle of it.
func TestByteBudgetCutsALongBody(t *testing.T) {
	handler, got := arrivals()
	d := open(t, handler, func(c *wire.Pipelockd, _ string) { c.Limits.HostBytes = 1 << 20 })
	resp, err := d.client(t, false).Do(request(t, "POST", d.url("/"), bytes.NewReader(bytes.Repeat([]byte("q "), 2<<20))))
	if err == nil {
		_ = resp.Body.Close()
	}
	if n := len(<-got); n > 1<<20 {
		t.Errorf("%d bytes arrived", n)
	}
	if l := d.waitLines(t, 1)[0]; l.Reason != policy.ReasonBudget {
		t.Errorf("line %+v", l)
	}
}

func TestRateLimit(t *testing.T) {
	d := open(t, nil, func(c *wire.Pipelockd, _ string) { c.Limits.RequestsPerMinute, c.Limits.Burst = 1, 3 })
	for range 3 {
		if a := do(t, d.client(t, false), request(t, "GET", d.url("/"), nil)); a.StatusCode != 200 {
			t.Fatalf("%s %s", a.Status, a.body)
		}
	}
	d.upstream.Seen()
	d.wantDenied(t, do(t, d.client(t, false), request(t, "GET", d.url("/"), nil)), policy.ReasonRate)
}

func TestTake(t *testing.T) {
	var h hostMeter
	now := time.Unix(1000, 0)
	if !h.take(now, 0, 0) || h.next.Load() != 0 {
		t.Error("zero is no limit")
	}
	for i, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, true}, {0, false}, {time.Second, true}, {time.Second, false}, {time.Hour, true}, {time.Hour, true}, {time.Hour, false}} {
		if got := h.take(now.Add(tt.after), 60, 2); got != tt.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

// However it is thrown, the switch stops what comes and cuts what is open.
func TestKillSwitch(t *testing.T) {
	for name, throw := range map[string]func(*door){
		"command": func(d *door) {
			mux := http.NewServeMux()
			d.service.HandleAdmin(mux)
			req := request(t, "POST", "/kill", nil)
			mux.ServeHTTP(discardResponse{}, req)
		},
		"signal": func(*door) { _ = syscall.Kill(os.Getpid(), syscall.SIGUSR1) },
		"file":   func(d *door) { _ = os.WriteFile(d.config.KillFile, nil, 0o600) },
	} {
		entered, left := make(chan struct{}, 2), make(chan struct{}, 2)
		d := open(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				return
			}
			if r.URL.Path == "/half" {
				_, _ = io.WriteString(w, "the first half")
				_ = http.NewResponseController(w).Flush()
			}
			entered <- struct{}{}
			<-r.Context().Done()
			left <- struct{}{}
		}, func(c *wire.Pipelockd, _ string) { c.KillFile = filepath.Join(t.TempDir(), "kill") })
		c := d.client(t, false)
		for _, path := range []string{"/slow", "/half"} {
			go func() {
				if resp, err := c.Do(request(t, "GET", d.url(path), nil).WithContext(context.Background())); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}()
			<-entered
		}
		throw(d)
		<-left // the requests under way were cut, or this test never ends
		<-left
		d.upstream.Seen()
		resp, err := d.client(t, false).Do(request(t, "GET", d.url("/"), nil))
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: a request passed: %s", name, resp.Status)
		} else if !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("%s: %v", name, err)
		}
		if seen := d.upstream.Seen(); len(seen) != 0 {
			t.Errorf("%s: the upstream saw %+v", name, seen)
		}
		for _, path := range []string{"/slow", "/half"} {
			d.wantKilled(t, name, path)
		}
	}
}

// wantKilled waits for the line of the end of a request, which comes when its handler
// is done.
func (d *door) wantKilled(t *testing.T, name, path string) {
	t.Helper()
	var l audit.Line
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, l = range d.lines(t) {
			if l.Path == path && l.Status != 0 {
				if l.Reason != policy.ReasonKilled || l.Rule == "" {
					t.Errorf("%s: %s ended in %+v", name, path, l)
				}
				return
			}
		}
	}
	t.Errorf("%s: %s has no line of its end", name, path)
}

type discardResponse struct{}

func (discardResponse) Header() http.Header         { return http.Header{} }
func (discardResponse) Write(p []byte) (int, error) { return len(p), nil }
func (discardResponse) WriteHeader(int)             {}

// Ten thousand requests on one connection of a client use one handshake with the
// upstream.
func TestOneHandshake(t *testing.T) {
	n := 10000
	if testing.Short() {
		n = 500
	}
	d := open(t, func(http.ResponseWriter, *http.Request) {}, nil)
	c := d.client(t, false)
	for range n {
		resp, err := c.Do(request(t, "GET", d.url("/"), nil))
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
	}
	if got := d.upstream.Handshakes(); got != 1 {
		t.Errorf("%d requests took %d handshakes", n, got)
	}
}
