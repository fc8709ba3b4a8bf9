package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/test/trial"
)

// manifest is a bottle as most are: a route, superviserd, no git remote.
const manifest = `---
egress:
  routes: [{host: api.example.com}]
supervise: true
---
`

// measure is an operator with a home, and what was found.
type measure struct {
	trial.Operator
	dir    string
	single []time.Duration
	// ready are the times of the ten, from the start of them all, in order.
	ready []time.Duration
	gone  time.Duration
	// memory in bytes and containers, by component.
	memory     map[string]int64
	containers map[string]int
	launchers  int64
	// load is what else the machine did before: the kernel's average over a minute.
	load string
}

func newMeasure() (*measure, error) {
	bin, err := trial.Binaries("bin")
	if err == nil {
		err = trial.Engine()
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bottles-")
	if err != nil {
		return nil, err
	}
	m := &measure{Operator: trial.Operator{Bin: bin, Home: filepath.Join(dir, "home"), Dir: dir, Env: os.Environ()}, dir: dir, memory: map[string]int64{}, containers: map[string]int{}, load: loadAverage()}
	for name, text := range map[string]string{"bottles/many.md": manifest, "agents/many.md": "---\nbottle: many\n---\n"} {
		path := filepath.Join(m.Home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// loadAverage is the kernel's average of the last minute, "unknown" without one.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(data)); err == nil && len(f) > 0 {
		return f[0]
	}
	return "unknown"
}

// alone starts one bottle and takes it down. The time is that from the start of the
// launcher to a program of the agent's that runs.
func (m *measure) alone(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	cmd := m.Command(ctx, "start", "many", "--yes", "--", "date", "+%s%N")
	r, err := trial.Finish(cmd, "")
	if err != nil || r.Status != 0 {
		return 0, errors.Join(err, fmt.Errorf("a start ended with %s", r))
	}
	var at int64
	if _, err := fmt.Sscan(r.Stdout, &at); err != nil {
		return 0, fmt.Errorf("the agent's program printed %q: %w", r.Stdout, err)
	}
	return time.Unix(0, at).Sub(began), nil
}

// together starts many, looks at them, and takes them down.
func (m *measure) together(ctx context.Context, n int) (err error) {
	began := time.Now()
	bottles, errs := make([]*trial.Bottle, n), make([]error, n)
	var all sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		all.Go(func() {
			bottles[i], errs[i] = m.Start("many")
			mu.Lock()
			defer mu.Unlock()
			m.ready = append(m.ready, time.Since(began))
		})
	}
	all.Wait()
	defer func() {
		began := time.Now()
		for _, b := range bottles {
			if b != nil {
				all.Go(func() {
					_, serr := b.Signal(syscall.SIGTERM)
					mu.Lock()
					defer mu.Unlock()
					err = errors.Join(err, serr)
				})
			}
		}
		all.Wait()
		m.gone = time.Since(began)
	}()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return err
	}
	slices.Sort(m.ready)
	for _, b := range bottles {
		m.launchers += resident(b.PID())
		if err := m.look(b.ID); err != nil {
			return err
		}
	}
	return nil
}

// look adds up what the containers of a bottle have.
func (m *measure) look(id string) error {
	ids, err := exec.Command("docker", "ps", "-q", "--filter", "label=bottle.identity="+id).Output()
	if err != nil {
		return fmt.Errorf("the engine does not list the containers of %s: %w", id, err)
	}
	out, err := exec.Command("docker", append([]string{"inspect"}, strings.Fields(string(ids))...)...).Output()
	if err != nil {
		return fmt.Errorf("the engine does not tell of the containers of %s: %w", id, err)
	}
	var list []struct {
		State  struct{ Pid int }
		Config struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return err
	}
	for _, c := range list {
		component := c.Config.Labels["bottle.component"]
		m.containers[component]++
		pids, err := tree(c.State.Pid)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			m.memory[component] += resident(pid)
		}
	}
	return nil
}

// tree is a process with its children's.
func tree(pid int) ([]int, error) {
	all := []int{pid}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, fmt.Errorf("the processes of the engine are not on this machine: %w", err)
	}
	for _, f := range strings.Fields(string(data)) {
		var child int
		if _, err := fmt.Sscan(f, &child); err == nil {
			more, err := tree(child)
			if err != nil {
				continue // it has ended
			}
			all = append(all, more...)
		}
	}
	return all, nil
}

// resident is the memory of a process in bytes, 0 when it has ended.
func resident(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	_, _ = fmt.Sscan(string(data), &size, &pages)
	return pages * int64(os.Getpagesize())
}

func (m *measure) markdown() string {
	var b strings.Builder
	const mib = 1 << 20
	fmt.Fprintf(&b, "# Bottles at once\n\nWritten by `make bottles`. %s, %s/%s, %d processors, load %s when it began. A bottle with one route and superviserd:\nfour containers, two networks, a volume. A program of the agent's that runs counts as ready.\n\n", time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), m.load)
	slices.Sort(m.single)
	fmt.Fprintf(&b, "| | seconds |\n|---|---|\n")
	if n := len(m.single); n > 0 {
		fmt.Fprintf(&b, "| one bottle alone, median of %d (least, most) | %.1f (%.1f, %.1f) |\n", n, m.single[n/2].Seconds(), m.single[0].Seconds(), m.single[n-1].Seconds())
	}
	n := len(m.ready)
	fmt.Fprintf(&b, "| %d at once: the first is up | %.1f |\n| the last is up | %.1f |\n| all are gone again | %.1f |\n", n, m.ready[0].Seconds(), m.ready[n-1].Seconds(), m.gone.Seconds())
	fmt.Fprintf(&b, "\n| resident | containers | each | all |\n|---|---|---|---|\n")
	total, containers := m.launchers, 0
	for _, component := range slices.Sorted(maps.Keys(m.memory)) {
		sum, c := m.memory[component], m.containers[component]
		total, containers = total+sum, containers+c
		fmt.Fprintf(&b, "| %s, with its init | %d | %.1f MiB | %.0f MiB |\n", component, c, float64(sum)/float64(c)/mib, float64(sum)/mib)
	}
	fmt.Fprintf(&b, "| launcher, on the host | %d | %.1f MiB | %.0f MiB |\n", n, float64(m.launchers)/float64(n)/mib, float64(m.launchers)/mib)
	fmt.Fprintf(&b, "| all | %d containers | %.0f MiB a bottle | %.0f MiB |\n", containers, float64(total)/float64(n)/mib, float64(total)/mib)
	return b.String()
}
