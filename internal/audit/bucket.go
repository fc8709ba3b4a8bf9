package audit

import "time"

// Denials that are written one by one: a burst, then a rate.
const (
	denialBurst = 2000
	denialRate  = 50 // a second
)

// bucket is a token bucket; the zero value is full.
type bucket struct {
	spent float64
	last  time.Time
}

// take reports whether there is a token, and takes it.
func (b *bucket) take(now time.Time) bool {
	if !b.last.IsZero() {
		b.spent = max(0, b.spent-now.Sub(b.last).Seconds()*denialRate)
	}
	b.last = now
	if b.spent+1 > denialBurst {
		return false
	}
	b.spent++
	return true
}
