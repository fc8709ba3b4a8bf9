package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// gcPercent trades a few MiB for half of the collections. A proxy's live heap is
// small and its garbage is not, so the default would collect all the time.
const gcPercent = 400

// memoryShare is how much of the container's memory the heap may take before
// the collector works harder; the rest is for what it does not count.
const memoryShare = 0.8

// limitFiles say how much memory the process may use, by cgroup version.
var limitFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// tuneGC sets the garbage collector's pace and limit, unless the operator did.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, f := range limitFiles {
		data, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		// "max", or a huge number, means no limit.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && n < 1<<40 {
			debug.SetMemoryLimit(int64(memoryShare * float64(n)))
			return
		}
	}
}

// quotaFiles hold the container's share of processors: quota and period in one
// file (cgroup 2), or in two.
var quotaFiles = [][]string{
	{"/sys/fs/cgroup/cpu.max"},
	{"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"},
}

// tuneProcessors uses one processor where the container has no more than one,
// unless the operator said otherwise. Go itself uses two at least: a second one
// that may not be busy at the same time as the first brings nothing, and waking
// its thread, at each hand-over between goroutines, costs a small request more
// than everything that is done for it.
func tuneProcessors() {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	for _, files := range quotaFiles {
		var text []string
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				break
			}
			text = append(text, string(data))
		}
		if len(text) == len(files) && atMostOne(strings.Join(text, " ")) {
			runtime.GOMAXPROCS(1)
			return
		}
	}
}

// atMostOne reads "quota period". Without a quota there stands "max" or -1.
func atMostOne(s string) bool {
	fields := strings.Fields(s)
	if len(fields) != 2 {
		return false
	}
	quota, err := strconv.ParseInt(fields[0], 10, 64)
	period, err2 := strconv.ParseInt(fields[1], 10, 64)
	return err == nil && err2 == nil && quota > 0 && quota <= period
}
