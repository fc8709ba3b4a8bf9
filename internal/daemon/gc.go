package daemon

import (
	"os"
	"runtime/debug"
)

// gcPercent trades a few MiB for half of the collections. A proxy's live heap is
// small and its garbage is not, so the default would collect all the time.
const gcPercent = 400

// tuneGC sets the garbage collector's pace, unless the operator did.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
