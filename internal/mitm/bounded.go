package mitm

import (
	"net/http"
	"time"
)

const (
	// maxInFlight bounds the requests of a proxy that are being served, over
	// all connections: streams multiply where connections are counted.
	maxInFlight = 1024
	// slotWait is how long a request waits for one of them to end.
	slotWait = 10 * time.Second
)

// bounded serves as many requests at once as there are slots.
type bounded struct {
	next  http.Handler
	slots chan struct{}
}

// ServeHTTP implements [http.Handler].
func (b bounded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case b.slots <- struct{}{}:
	default:
		wait := time.NewTimer(slotWait)
		defer wait.Stop()
		select {
		case b.slots <- struct{}{}:
		case <-r.Context().Done():
			return
		case <-wait.C:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the proxy is serving as many requests as it can", http.StatusServiceUnavailable)
			return
		}
	}
	defer func() { <-b.slots }()
	b.next.ServeHTTP(w, r)
}
