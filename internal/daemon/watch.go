package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// pollInterval is how soon a changed file is noticed. Polling sees what file
// events miss: bind mounts of desktop engines, and the symlink swap by which
// Kubernetes replaces a mounted file.
const pollInterval = time.Second

// watch calls reload at each SIGHUP, and when the contents of file have changed
// since they were last looked at. It returns when ctx ends.
func watch(ctx context.Context, file, sum string, reload func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	// Unknown at first: the file may have changed since it was loaded, so the
	// first tick compares contents.
	var last os.FileInfo
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			last, sum = look(file, sum)
			reload()
		case <-tick.C:
			st, err := os.Stat(file)
			if err != nil || last != nil && same(last, st) {
				continue // a file that is gone for a moment is being replaced
			}
			before := sum
			if last, sum = look(file, sum); sum != before {
				reload()
			}
		}
	}
}

// look returns the file's present state and hash.
func look(file, sum string) (os.FileInfo, string) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, sum
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, sum
	}
	h := sha256.Sum256(data)
	return st, hex.EncodeToString(h[:])
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
