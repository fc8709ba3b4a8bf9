package safedial

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxCached bounds the names that are remembered.
const maxCached = 1024

// cache remembers answers for a short time, so that a burst of connections asks
// once. The zero value is empty.
type cache struct {
	mu    sync.Mutex
	names map[string]answer
}

type answer struct {
	addrs []netip.Addr
	until time.Time
}

// get returns a copy of what is remembered of a name, nil for nothing.
func (c *cache) get(name string) []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.names[name]
	if !ok || time.Now().After(a.until) {
		return nil
	}
	return slices.Clone(a.addrs)
}

// put remembers an answer.
func (c *cache) put(name string, addrs []netip.Addr, keep time.Duration) {
	if keep <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil || len(c.names) >= maxCached {
		c.names = map[string]answer{}
	}
	c.names[name] = answer{slices.Clone(addrs), time.Now().Add(keep)}
}
