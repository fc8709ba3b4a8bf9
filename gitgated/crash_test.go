package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// phases of a push, as they show from outside: by the git that the gate runs and
// by what is in the quarantine.
const (
	phaseBefore    = "before its pack"
	phaseReceiving = "while the pack comes in"
	phaseScanning  = "while its objects are scanned"
	phaseSending   = "while the upstream is pushed to"
	phaseAdopting  = "while the mirror takes it over"
	phaseAfter     = "after it"
)

var phases = []string{phaseBefore, phaseReceiving, phaseScanning, phaseSending, phaseAdopting, phaseAfter}

// children are the command lines of the gate's own git processes, by process.
func (w *world) children() map[string]string {
	all := map[string]string{}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", w.daemon.Process.Pid))
	for _, file := range tasks {
		list, _ := os.ReadFile(file)
		for _, child := range strings.Fields(string(list)) {
			line, _ := os.ReadFile("/proc/" + child + "/cmdline")
			all[child] = strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return all
}

// phase tells how far a push is. One that is over looks as one that has not begun.
func (w *world) phase() string {
	running := strings.Join(slices.Collect(maps.Values(w.children())), "\n")
	quarantines, _ := filepath.Glob(filepath.Join(w.config.State, "quarantine", "push-*"))
	packs, _ := filepath.Glob(filepath.Join(w.config.State, "quarantine", "push-*", "objects", "pack", "*.idx"))
	switch {
	case strings.Contains(running, " index-pack "):
		return phaseReceiving
	case strings.Contains(running, " push "):
		return phaseSending
	case strings.Contains(running, " update-ref "):
		return phaseAdopting
	case len(packs) > 0:
		return phaseScanning
	case len(quarantines) > 0:
		return phaseReceiving
	}
	return phaseBefore // or after: who asks knows whether there was a quarantine
}

// killIn kills the gate during a phase of the push that is under way, and says
// which it was: the gate is stopped first, so that nothing moves while it is
// looked at. Done ends with the push.
func (w *world) killIn(want string, done <-chan error) (was string) {
	w.t.Helper()
	latest := 0
	see := func() int {
		now := slices.Index(phases, w.phase())
		switch {
		case phases[now] == phaseBefore && latest > 0:
			now = slices.Index(phases, phaseAfter)
		case phases[now] == phaseReceiving && latest > now: // its packs have been moved into the mirror
			now = slices.Index(phases, phaseAdopting)
		}
		latest = max(latest, now)
		return now
	}
	over := false
	for late := time.Now().Add(time.Minute); time.Now().Before(late) && !over; {
		if see() >= slices.Index(phases, want) {
			break
		}
		over = len(done) > 0
	}
	pause := 20 * time.Millisecond // anywhere in it
	if want == phaseSending {
		pause = 400 * time.Millisecond // most of which is the upstream's
	}
	if !over {
		time.Sleep(rand.N(pause))
	}
	must(w.t, w.daemon.Process.Signal(syscall.SIGSTOP))
	was = phases[see()]
	if over {
		was = phaseAfter
	}
	must(w.t, w.daemon.Process.Kill())
	_ = w.daemon.Wait()
	return was
}

// TestKilledDuringPushes kills the gate in each phase of a push, again and again:
// after each, both repositories must be whole, the upstream must be before or
// after the push, never between its two refs, and the next gate must work.
// BOTTLE_CRASHES says how often; twice in each phase by default.
func TestKilledDuringPushes(t *testing.T) {
	t.Parallel()
	crashes := 2 * len(phases)
	if s := os.Getenv("BOTTLE_CRASHES"); s != "" {
		var err error
		crashes, err = strconv.Atoi(s)
		must(t, err)
	}
	w, _ := bareWorld(t).overSSH()
	w.config.Remotes[0].Refs.Force = true
	w.start()
	dir := w.clone()
	push := func(i int) error {
		w.commit(dir, "f", strings.Repeat(random(64)+"\n", 500), fmt.Sprint("Change ", i))
		_, err := w.try(dir, "push", "origin", "HEAD:refs/heads/agent/one", "HEAD:refs/heads/agent/two")
		return err
	}
	must(t, push(-1))
	before, after, fell := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range crashes {
		was := w.git(w.bare, "rev-parse", "agent/one")
		done := make(chan error, 1)
		go func() { done <- push(i) }()
		phase := w.killIn(phases[i%len(phases)], done)
		fell[phase]++
		perr := <-done
		settled(w)
		one, two, head := w.git(w.bare, "rev-parse", "agent/one"), w.git(w.bare, "rev-parse", "agent/two"), w.git(dir, "rev-parse", "HEAD")
		switch {
		case one != two:
			t.Fatalf("crash %d, %s: the upstream is between: %s and %s", i, phase, one, two)
		case one == was:
			before[phase]++
			if perr == nil {
				t.Errorf("crash %d, %s: the agent was told that the push succeeded, and it did not", i, phase)
			}
		case one == head:
			after[phase]++
		default:
			t.Fatalf("crash %d, %s: the upstream is at %s", i, phase, one)
		}
		w.whole(fmt.Sprintf("crash %d, %s", i, phase))
	}
	must(t, push(crashes))
	w.git(w.bare, "fsck", "--strict")
	w.audit()
	if before[phaseAfter]+before[phaseAdopting] > 0 {
		t.Error("a push that was over is not upstream")
	}
	if n := after[phaseBefore] + after[phaseReceiving] + after[phaseScanning]; n > 0 {
		t.Errorf("%d pushes were upstream before they had been looked at", n)
	}
	for _, p := range phases {
		t.Logf("%3d kills %-32s the upstream was before the push %d times, after it %d times", fell[p], p+":", before[p], after[p])
	}
	if len(fell) < 4 || crashes >= 50 && len(fell) < len(phases)-1 {
		t.Errorf("the kills fell in %d of the %d phases only", len(fell), len(phases))
	}
}

// whole checks both repositories and starts the next gate, which must find
// nothing left.
func (w *world) whole(when string) {
	w.t.Helper()
	w.git(w.bare, "fsck", "--strict", "--connectivity-only")
	mirrors, err := filepath.Glob(filepath.Join(w.config.State, "mirrors", "*.git"))
	must(w.t, err)
	for _, m := range mirrors {
		w.git(m, "fsck", "--strict")
	}
	w.launch()
	if left, _ := os.ReadDir(filepath.Join(w.config.State, "quarantine")); len(left) > 0 {
		w.t.Errorf("%s: a quarantine is left", when)
	}
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
