package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
)

// exchange is one request with what came of it.
type exchange struct {
	path, id   string
	start, end time.Time
	status     int
	reason     string
	err        error
}

// ledger collects exchanges. It is safe for concurrent use.
type ledger struct {
	mu  sync.Mutex
	all []exchange
}

func (l *ledger) add(x exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, x)
}

// judge compares every answer to the tables and to what the upstream saw.
func (l *ledger) judge(r *result, tables *timeline, seen func(id string) int64) {
	for _, x := range l.all {
		r.requests++
		r.latencies = append(r.latencies, x.end.Sub(x.start))
		allowed, dropped := x.verdict()
		if dropped != nil {
			r.dropped++
			r.fault(fmt.Errorf("request %s for %s was dropped: %w", x.id, x.path, dropped))
			continue
		}
		right := func(generation int) bool { return allows(x.path, generation) == allowed }
		if in := tables.during(x.start, x.end); !slices.ContainsFunc(in, right) {
			r.wrong++
			r.fault(fmt.Errorf("request %s for %s: allowed is %t, which none of the tables %v says", x.id, x.path, allowed, in))
		}
		want := int64(0)
		if allowed {
			r.allowed++
			want = 1
		}
		if n := seen(x.id); n != want {
			r.wrong++
			r.fault(fmt.Errorf("request %s for %s: allowed is %t, and the upstream saw it %d times", x.id, x.path, allowed, n))
		}
	}
}

// verdict reads an answer: allowed, denied, or neither.
func (x exchange) verdict() (allowed bool, dropped error) {
	switch {
	case x.err != nil:
		return false, x.err
	case x.status == http.StatusOK:
		return true, nil
	case x.status == http.StatusForbidden && x.reason == string(policy.ReasonPathNotAllowed):
		return false, nil
	}
	return false, fmt.Errorf("status %d, reason %q", x.status, x.reason)
}
