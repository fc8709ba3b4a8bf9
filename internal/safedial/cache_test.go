package safedial

import (
	"context"
	"testing"
	"time"
)

// An answer is used again for a moment, and judged again.
func TestAnswersAreRemembered(t *testing.T) {
	res := &answers{list: [][]string{{"8.8.8.8"}, {"127.0.0.1"}}}
	d := dialer(t, Options{Resolver: res, CacheFor: 50 * time.Millisecond})
	for range 3 {
		if _, err := d.Resolve(context.Background(), "x.example"); err != nil || res.calls != 1 {
			t.Fatalf("%v after %d lookups", err, res.calls)
		}
	}
	time.Sleep(60 * time.Millisecond)
	if _, err := d.Resolve(context.Background(), "x.example"); err == nil {
		t.Error("the answer was remembered for too long")
	}
}
