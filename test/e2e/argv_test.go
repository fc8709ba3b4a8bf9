package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// argvWatch looks again and again at the arguments of every process of this
// machine, which everybody may read, for secrets.
type argvWatch struct {
	secrets [][]byte
	stop    chan struct{}
	done    sync.WaitGroup

	mu     sync.Mutex
	looks  int
	found  []string
	caught map[string]bool
}

func watchArgv(secrets ...string) *argvWatch {
	w := &argvWatch{stop: make(chan struct{}), caught: map[string]bool{}}
	for _, s := range secrets {
		w.secrets = append(w.secrets, []byte(s))
	}
	w.done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			w.look()
			select {
			case <-tick.C:
			case <-w.stop:
				return
			}
		}
	})
	return w
}

func (w *argvWatch) look() {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	for _, file := range files {
		argv, err := os.ReadFile(file)
		if err != nil || w.caught[file] {
			continue // the process has ended
		}
		for _, s := range w.secrets {
			if bytes.Contains(argv, s) {
				w.caught[file] = true
				program, _, _ := bytes.Cut(argv, []byte{0})
				w.found = append(w.found, fmt.Sprintf("%s (%s)", file, program))
			}
		}
	}
}

// verdict is an error when a secret was seen.
func (w *argvWatch) verdict() error {
	w.look()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.found) > 0 {
		return fmt.Errorf("a secret stood in the arguments of %q (%d looks)", w.found, w.looks)
	}
	return nil
}

func (w *argvWatch) close() error {
	close(w.stop)
	w.done.Wait()
	return nil
}
