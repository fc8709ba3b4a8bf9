package mitm

import (
	"net/http"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
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
			d := policy.Denied(policy.ReasonOverloaded, "", "The proxy is serving as many requests as it can; try again later.")
			wire.NewProblem(d, "", r.Method, r.Host, "").Write(w)
			return
		}
	}
	defer func() { <-b.slots }()
	b.next.ServeHTTP(w, r)
}
