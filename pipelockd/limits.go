package main

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
)

// meters count what leaves, for the limits. They outlive a reload.
type meters struct {
	bottle atomic.Int64
	hosts  sync.Map // string to *hostMeter
}

// hostMeter counts what one entry of the allowlist was sent. Its hosts are few:
// they are those of the configuration, not those of the requests.
type hostMeter struct {
	bytes atomic.Int64
	// next is when, in nanoseconds, the bucket would be empty again: the whole
	// state of a rate limit (GCRA).
	next atomic.Int64
}

func (m *meters) of(entry string) *hostMeter {
	if h, ok := m.hosts.Load(entry); ok {
		return h.(*hostMeter)
	}
	h, _ := m.hosts.LoadOrStore(entry, new(hostMeter))
	return h.(*hostMeter)
}

// take spends one request of a rate, and says whether there was one left.
func (h *hostMeter) take(now time.Time, perMinute, burst int) bool {
	if perMinute <= 0 {
		return true
	}
	if burst <= 0 {
		burst = perMinute
	}
	gap := int64(time.Minute) / int64(perMinute)
	for {
		next := h.next.Load()
		at := max(next, now.UnixNano())
		if at+gap > now.UnixNano()+gap*int64(burst) {
			return false
		}
		if h.next.CompareAndSwap(next, at+gap) {
			return true
		}
	}
}

// allowance is what one request may send.
type allowance struct {
	meters              *meters
	host                *hostMeter
	maxBottle, maxBytes int64
}

var errBudget = errors.New("the budget of bytes is spent")

// spend counts bytes that are about to leave.
func (a *allowance) spend(n int64) error {
	if a.maxBottle > 0 && a.meters.bottle.Add(n) > a.maxBottle {
		return errBudget
	}
	if a.maxBytes > 0 && a.host.bytes.Add(n) > a.maxBytes {
		return errBudget
	}
	return nil
}

func budgetDenial() *policy.Decision {
	return refuse(policy.ReasonBudget, "The bytes that this bottle, or this host, may be sent are spent.")
}

// limited applies the rate, and the budgets as far as the head of a request
// counts. It is called once the destination is allowed.
func (s *service) limited(x *exchange, head int) *policy.Decision {
	l, e := x.table.limits, x.allowed
	rate, most := l.RequestsPerMinute, int64(l.HostBytes)
	if e.RequestsPerMinute > 0 {
		rate = e.RequestsPerMinute
	}
	if e.MaxBytes > 0 {
		most = int64(e.MaxBytes)
	}
	if rate <= 0 && most <= 0 && l.BottleBytes <= 0 {
		return nil
	}
	h := s.meters.of(e.Host)
	if !h.take(time.Now(), rate, l.Burst) {
		return refuse(policy.ReasonRate, "This host has had its share of requests for now; try again in a moment.")
	}
	if most > 0 || l.BottleBytes > 0 {
		x.allowance = &allowance{meters: &s.meters, host: h, maxBottle: int64(l.BottleBytes), maxBytes: most}
		if x.allowance.spend(int64(head)) != nil {
			return budgetDenial()
		}
	}
	return nil
}

// spentBody counts a body against the budgets while it is read.
type spentBody struct {
	io.ReadCloser
	allowance *allowance
}

// Read implements [io.Reader].
func (b *spentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		if over := b.allowance.spend(int64(n)); over != nil {
			return 0, over
		}
	}
	return n, err
}
