package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKilledDuringPushes kills the gate at a random moment of a push, again and
// again: after each, both repositories must be whole, the upstream must be
// before or after the push, never between its two refs, and the next gate must
// work. BOTTLE_CRASHES says how often; a few times by default.
func TestKilledDuringPushes(t *testing.T) {
	crashes := 8
	if s := os.Getenv("BOTTLE_CRASHES"); s != "" {
		var err error
		crashes, err = strconv.Atoi(s)
		must(t, err)
	}
	w, _ := bareWorld(t).overSSH()
	w.config.Remotes[0].Refs.Force = true
	w.start()
	dir := w.clone()
	// How long a push takes here, to hit all of its phases.
	push := func(i int) error {
		w.commit(dir, "f", strings.Repeat(random(64)+"\n", 500), fmt.Sprint("Change ", i))
		_, err := w.try(dir, "push", "origin", "HEAD:refs/heads/agent/one", "HEAD:refs/heads/agent/two")
		return err
	}
	must(t, push(-2))
	began := time.Now()
	must(t, push(-1))
	whole := time.Since(began)
	before, after := 0, 0
	for i := range crashes {
		was := w.git(w.bare, "rev-parse", "agent/one")
		done := make(chan error, 1)
		go func() { done <- push(i) }()
		time.Sleep(rand.N(whole))
		must(t, w.daemon.Process.Kill())
		_ = w.daemon.Wait()
		perr := <-done
		settled(w)
		one, two, head := w.git(w.bare, "rev-parse", "agent/one"), w.git(w.bare, "rev-parse", "agent/two"), w.git(dir, "rev-parse", "HEAD")
		switch {
		case one != two:
			t.Fatalf("crash %d: the upstream is between: %s and %s", i, one, two)
		case one == was:
			before++
			if perr == nil {
				t.Errorf("crash %d: the agent was told that the push succeeded, and it did not", i)
			}
		case one == head:
			after++
		default:
			t.Fatalf("crash %d: the upstream is at %s", i, one)
		}
		w.git(w.bare, "fsck", "--strict", "--connectivity-only")
		mirrors, err := filepath.Glob(filepath.Join(w.config.State, "mirrors", "*.git"))
		must(t, err)
		for _, m := range mirrors {
			w.git(m, "fsck", "--strict")
		}
		w.launch()
		if left, _ := os.ReadDir(filepath.Join(w.config.State, "quarantine")); len(left) > 0 {
			t.Errorf("crash %d: a quarantine is left", i)
		}
	}
	must(t, push(crashes))
	w.git(w.bare, "fsck", "--strict")
	w.audit()
	t.Logf("%d crashes within %s of a push's beginning: the upstream was before the push %d times and after it %d times", crashes, whole.Round(time.Millisecond), before, after)
}

// settled waits until the upstream's own processes of the cut-off push ended.
func settled(w *world) {
	last := ""
	for range 100 {
		now := w.git(w.bare, "for-each-ref")
		locks, _ := filepath.Glob(filepath.Join(w.bare, "refs", "heads", "agent", "*.lock"))
		tmp, _ := filepath.Glob(filepath.Join(w.bare, "objects", "tmp_objdir*"))
		if now == last && len(locks)+len(tmp) == 0 {
			return
		}
		last = now
		time.Sleep(50 * time.Millisecond)
	}
}
