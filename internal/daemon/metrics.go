package daemon

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// counters counts by name. The zero value is ready. It is safe for concurrent
// use; add on a known name does not allocate.
type counters struct{ m sync.Map }

// add adds n to the counter name.
func (c *counters) add(name string, n uint64) {
	v, ok := c.m.Load(name)
	if !ok {
		v, _ = c.m.LoadOrStore(name, new(atomic.Uint64))
	}
	v.(*atomic.Uint64).Add(n)
}

// snapshot returns all counters.
func (c *counters) snapshot() map[string]uint64 {
	out := map[string]uint64{}
	c.m.Range(func(k, v any) bool {
		out[k.(string)] = v.(*atomic.Uint64).Load()
		return true
	})
	return out
}

// writeMetrics prints counters in the Prometheus text format, version 0.0.4.
func writeMetrics(w io.Writer, component string, values map[string]uint64) {
	fmt.Fprintf(w, "# HELP bottle_%s_total Events since start.\n# TYPE bottle_%s_total counter\n", component, component)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(w, "bottle_%s_total{event=%q} %d\n", component, name, values[name])
	}
}
