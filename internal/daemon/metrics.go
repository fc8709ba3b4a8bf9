package daemon

import (
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
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

// durationBounds are the upper bounds of a histogram's buckets.
var durationBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// histogram counts durations by bucket. The zero value is ready. It is safe for
// concurrent use.
type histogram struct {
	buckets [len(durationBounds) + 1]atomic.Uint64
	micros  atomic.Uint64
}

func (h *histogram) observe(d time.Duration) {
	i, _ := slices.BinarySearch(durationBounds[:], d)
	h.buckets[i].Add(1)
	h.micros.Add(uint64(d.Microseconds()))
}

// write prints the histogram in the Prometheus text format.
func (h *histogram) write(w io.Writer, name, help string) {
	head(w, name, "histogram", help)
	var sum uint64
	for i := range h.buckets {
		sum += h.buckets[i].Load()
		le := "+Inf"
		if i < len(durationBounds) {
			le = strconv.FormatFloat(durationBounds[i].Seconds(), 'g', -1, 64)
		}
		fmt.Fprintf(w, "%s_bucket{le=%q} %d\n", name, le, sum)
	}
	fmt.Fprintf(w, "%s_sum %g\n%s_count %d\n", name, float64(h.micros.Load())/1e6, name, sum)
}

func head(w io.Writer, name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// writeMetrics prints what the admin listener serves at /metrics, in the
// Prometheus text format, version 0.0.4.
func writeMetrics(w io.Writer, component string, values map[string]uint64, st *state) {
	prefix := "bottle_" + component
	name := prefix + "_decisions_total"
	head(w, name, "counter", "Decisions since start.")
	sorted := slices.Sorted(maps.Keys(values))
	for _, key := range sorted {
		if verdict, reason, ok := decision(key); ok {
			fmt.Fprintf(w, "%s{decision=%q,reason=%q} %d\n", name, verdict, reason, values[key])
		}
	}
	name = prefix + "_events_total"
	head(w, name, "counter", "Other events since start.")
	for _, key := range sorted {
		if _, _, ok := decision(key); !ok {
			fmt.Fprintf(w, "%s{event=%q} %d\n", name, key, values[key])
		}
	}
	writeProcess(w, prefix, st)
}

// writeProcess prints what is known of the process and its configuration.
func writeProcess(w io.Writer, prefix string, st *state) {
	st.mu.Lock()
	sum, loaded, refused := st.sha256, st.loadedAt, 0
	if st.lastError != "" {
		refused = 1
	}
	st.mu.Unlock()
	gauge := func(name, labels, help string, value int64) {
		head(w, prefix+name, "gauge", help)
		fmt.Fprintf(w, "%s%s%s %d\n", prefix, name, labels, value)
	}
	gauge("_config_loaded_timestamp_seconds", fmt.Sprintf("{sha256=%q}", sum), "When the configuration in force was loaded.", loaded.Unix())
	gauge("_config_refused", "", "1 while the newest configuration file is refused.", int64(refused))
	gauge("_build_info", fmt.Sprintf("{version=%q,go=%q}", Version, runtime.Version()), "The build.", 1)
	gauge("_goroutines", "", "Goroutines.", int64(runtime.NumGoroutine()))
	if rss, ok := residentBytes(); ok {
		gauge("_resident_memory_bytes", "", "Resident memory.", rss)
	}
}

// decision takes a counter's name apart: "allow", or "deny:reason".
func decision(key string) (verdict, reason string, ok bool) {
	verdict, reason, _ = strings.Cut(key, ":")
	return verdict, reason, slices.Contains([]string{"allow", "deny", "redact", "hold"}, verdict)
}

// residentBytes reads the process's resident set from procfs.
func residentBytes() (int64, bool) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
