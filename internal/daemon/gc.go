package daemon

import (
	"os"
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
