package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
)

// stalled sends the beginning of a body, and then nothing until it is let go.
func stalled(ctx context.Context, head string) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, head)
		<-ctx.Done()
		_ = w.CloseWithError(ctx.Err())
	}()
	return r
}

// Bodies that do not come to an end fill their own share of memory and no more:
// the next one is told that the door is busy, and passes when they are gone.
func TestStalledBodiesFindTheDoorBusy(t *testing.T) {
	d := open(t, nil, nil)
	d.service.bodies = newBudget(8*unit, 50*time.Millisecond)
	for _, h2 := range []bool{false, true} {
		c := d.client(t, h2)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{}, 8)
		for range 8 {
			req := request(t, "POST", d.url("/"), stalled(ctx, "x")).WithContext(ctx)
			go func() {
				if resp, err := c.Do(req); err == nil {
					_ = resp.Body.Close()
				}
				ended <- struct{}{}
			}()
		}
		for len(d.service.bodies.taken) < 8 {
			time.Sleep(time.Millisecond)
		}
		a := do(t, c, request(t, "POST", d.url("/"), strings.NewReader("hello")))
		if a.StatusCode != http.StatusServiceUnavailable || a.problem.Reason != policy.ReasonOverloaded {
			t.Errorf("h2 %v: %s %s", h2, a.Status, a.body)
		}
		if a := do(t, c, request(t, "GET", d.url("/"), nil)); a.StatusCode != 200 {
			t.Errorf("h2 %v: a request without a body: %s", h2, a.Status)
		}
		if seen := d.upstream.Seen(); len(seen) != 1 {
			t.Errorf("the upstream saw %+v", seen)
		}
		cancel()
		for range 8 {
			<-ended
		}
		for len(d.service.bodies.taken) > 0 {
			time.Sleep(time.Millisecond)
		}
		if a := do(t, c, request(t, "POST", d.url("/"), strings.NewReader("hello"))); a.StatusCode != 200 {
			t.Errorf("h2 %v: when they are gone: %s %s", h2, a.Status, a.body)
		}
		d.upstream.Seen()
	}
}

// A body that does not come is not waited for.
func TestSlowHeadIsCut(t *testing.T) {
	d := open(t, nil, nil)
	d.service.headTime = 100 * time.Millisecond
	for _, h2 := range []bool{false, true} {
		ctx, cancel := context.WithCancel(context.Background())
		resp, err := d.client(t, h2).Do(request(t, "POST", d.url("/"), stalled(ctx, "x")))
		if err == nil {
			_ = resp.Body.Close()
		}
		cancel()
		if seen := d.upstream.Seen(); len(seen) != 0 {
			t.Errorf("h2 %v: the upstream saw %+v", h2, seen)
		}
	}
	for _, l := range d.waitLines(t, 2) {
		if l.Reason != policy.ReasonBadRequest {
			t.Errorf("line %+v", l)
		}
	}
}

// The time for the head ends with it: what follows may take longer.
func TestSlowTailPasses(t *testing.T) {
	d := open(t, nil, nil)
	d.service.headTime = 2 * time.Second
	body := bytes.Repeat([]byte("q"), wholeBody+2)
	for _, h2 := range []bool{false, true} {
		r, w := io.Pipe()
		go func() {
			_, _ = w.Write(body)
			time.Sleep(2500 * time.Millisecond)
			_, _ = io.WriteString(w, "end")
			_ = w.Close()
		}()
		if a := do(t, d.client(t, h2), request(t, "POST", d.url("/"), r)); a.StatusCode != 200 {
			t.Errorf("h2 %v: %s %s", h2, a.Status, a.body)
		}
		if seen := d.upstream.Seen(); len(seen) != 1 || len(seen[0].Body) != len(body)+3 {
			t.Errorf("h2 %v: the body is changed", h2)
		}
	}
}

// A buffer grows with what arrives, not with what was announced.
func TestReadHead(t *testing.T) {
	room := func() *share { return &share{of: newBudget(64*unit, 0), ctx: context.Background()} }
	for _, n := range []int{0, 1, unit - 1, unit, unit + 1, 3 * unit, wholeBody - 1, wholeBody, wholeBody + 1, 2 * wholeBody} {
		for _, length := range []int64{int64(n), -1} {
			s := room()
			head, more, err := readHead(strings.NewReader(strings.Repeat("x", n)), length, s)
			if err != nil || more != (n > wholeBody) || len(head) != min(n, wholeBody+1) {
				t.Errorf("%d bytes: %d, more %v, %v", n, len(head), more, err)
			}
			if s.units*unit < cap(head) || s.units*unit > 2*n+2*unit {
				t.Errorf("%d bytes take %d units", n, s.units)
			}
			if s.release(); len(s.of.taken) != 0 {
				t.Errorf("%d units stay", len(s.of.taken))
			}
		}
	}
	if _, _, err := readHead(io.MultiReader(strings.NewReader("x"), broken{}), 10, room()); err != io.ErrUnexpectedEOF {
		t.Errorf("a cut body: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
