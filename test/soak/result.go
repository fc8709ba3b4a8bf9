package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// sample is a daemon's memory at a time since the start.
type sample struct {
	at  time.Duration
	mib float64
}

// result is what a soak came to. Every fault is a sentence.
type result struct {
	options
	requests, allowed, wrong, dropped, reloads int
	latencies                                  []time.Duration
	memory                                     map[string][]sample
	faults                                     []error
}

// maxFaults bounds the faults that are kept; the counts are of all.
const maxFaults = 20

func (r *result) fault(err error) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, err)
	}
}

// settled is how long a run must be for its memory to be judged: heaps and
// caches grow to their size first.
const settled = 2 * time.Minute

func (r *result) judgeMemory() {
	if r.duration < settled {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.memory)) {
		if s := slope(r.memory[name]); s > r.growth {
			r.fault(fmt.Errorf("the memory of %s grew by %.2f MiB a minute, more than %.2f", name, s, r.growth))
		}
	}
}

// slope is the growth in MiB a minute over the second half, by least squares.
func slope(all []sample) float64 {
	all = all[len(all)/2:]
	var n, x, y, xx, xy float64
	for _, s := range all {
		m := s.at.Minutes()
		n, x, y, xx, xy = n+1, x+m, y+s.mib, xx+m*m, xy+m*s.mib
	}
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

// String is the report.
func (r *result) String() string {
	var b strings.Builder
	way := "egressd"
	if r.chain {
		way = "egressd + pipelockd"
	}
	fmt.Fprintf(&b, "%s: %s at %d requests a second, a reload every %s\n", way, r.duration, r.rate, r.reload)
	fmt.Fprintf(&b, "requests %d, allowed %d, denied %d; wrong verdicts %d, dropped %d; reloads %d\n",
		r.requests, r.allowed, r.requests-r.allowed-r.dropped, r.wrong, r.dropped, r.reloads)
	if slices.Sort(r.latencies); len(r.latencies) > 0 {
		n := len(r.latencies)
		fmt.Fprintf(&b, "latency p50 %s, p99 %s, max %s\n", r.latencies[n/2], r.latencies[n*99/100], r.latencies[n-1])
	}
	for _, name := range slices.Sorted(maps.Keys(r.memory)) {
		all := r.memory[name]
		first, last, peak := all[0].mib, all[len(all)-1].mib, 0.0
		for _, s := range all {
			peak = max(peak, s.mib)
		}
		fmt.Fprintf(&b, "%s: memory %.1f MiB at first, %.1f at last, %.1f at most; second half %+.2f MiB a minute\n", name, first, last, peak, slope(all))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
