package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// row is what all rounds of a case and way came to.
type row struct {
	job    job
	way    string
	rounds []slice
	cpu    time.Duration
	memory bool
}

// resident is a process's memory.
type resident struct {
	way, daemon       string
	idle, after, peak float64 // MiB
}

type report struct {
	options
	began    time.Time
	rows     []*row
	resident []*resident
}

func newReport(o options) *report { return &report{options: o, began: time.Now()} }

func (r *report) add(j job, w way, s slice, cpu time.Duration) {
	found := r.find(j.Case, w.name)
	if found == nil {
		found = &row{job: j, way: w.name, memory: len(w.daemons) > 0}
		r.rows = append(r.rows, found)
	}
	found.rounds = append(found.rounds, s)
	found.cpu += cpu
}

func (r *report) find(name, way string) *row {
	i := slices.IndexFunc(r.rows, func(x *row) bool { return x.job.Case == name && x.way == way })
	if i < 0 {
		return nil
	}
	return r.rows[i]
}

// memory notes what the daemons have, before the load or after it.
func (r *report) memory(ways []way, loaded bool) error {
	i := 0
	for _, w := range ways {
		for _, d := range w.daemons {
			now, peak, err := d.ResidentMiB()
			if err != nil {
				return err
			}
			if !loaded {
				r.resident = append(r.resident, &resident{way: w.name, daemon: d.Name, idle: now})
			} else {
				r.resident[i].after, r.resident[i].peak = now, peak
			}
			i++
		}
	}
	return nil
}

func median[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

func overRounds[T cmp.Ordered](rounds []slice, of func(slice) T) T {
	var all []T
	for _, s := range rounds {
		all = append(all, of(s))
	}
	return median(all)
}

func (x *row) p50() time.Duration {
	return overRounds(x.rounds, func(s slice) time.Duration { return s.P50 })
}
func (x *row) p99() time.Duration {
	return overRounds(x.rounds, func(s slice) time.Duration { return s.P99 })
}
func (x *row) rate() float64 { return overRounds(x.rounds, func(s slice) float64 { return s.Rate }) }

// added compares x to the direct way, round by round.
func (x *row) added(direct *row) (difference time.Duration, ratio float64) {
	var differences []time.Duration
	var ratios []float64
	for i, s := range x.rounds {
		differences = append(differences, s.P50-direct.rounds[i].P50)
		ratios = append(ratios, float64(s.P50)/float64(direct.rounds[i].P50))
	}
	return median(differences), median(ratios)
}

// count sums up a field of the slices.
func (x *row) count(of func(slice) int) (n int) {
	for _, s := range x.rounds {
		n += of(s)
	}
	return n
}

var head = []string{"case", "way", "p50", "p99", "a second", "p50 added", "× direct", "CPU a request"}

// cells are a row as text.
func (r *report) cells(x *row) []string {
	rate := fmt.Sprintf("%.0f", x.rate())
	switch x.job.Kind {
	case "events":
		rate = fmt.Sprintf("%d of %d late", x.count(func(s slice) int { return s.Held }), x.count(func(s slice) int { return s.N }))
	case "down", "up":
		rate = fmt.Sprintf("%.0f MiB", x.rate())
	}
	added, ratio, cpu := "", "", ""
	if direct := r.find(x.job.Case, "direct"); direct != x && direct != nil {
		d, q := x.added(direct)
		added, ratio = millis(d), fmt.Sprintf("%.1f", q)
	}
	if x.memory {
		cpu = fmt.Sprintf("%d µs", x.cpu.Microseconds()/int64(x.count(func(s slice) int { return s.N })))
	}
	return []string{x.job.Case, x.way, millis(x.p50()), millis(x.p99()), rate, added, ratio, cpu}
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

func (r *report) conditions() string {
	own := "as many as Go likes"
	if r.processors > 0 {
		own = strconv.Itoa(r.processors)
	}
	return fmt.Sprintf("%s, %s/%s, %d processors, %s for each proxy; %d rounds of %s, medians.",
		r.began.UTC().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), own, r.rounds, r.slice)
}

// table writes rows with a function that writes one.
func (r *report) table(line func(cells []string)) {
	line(head)
	for _, x := range r.rows {
		line(r.cells(x))
	}
}

var memoryHead = []string{"way", "process", "idle", "after the load", "peak"}

func (m *resident) cells() []string {
	return []string{m.way, m.daemon, fmt.Sprintf("%.1f MiB", m.idle), fmt.Sprintf("%.1f MiB", m.after), fmt.Sprintf("%.1f MiB", m.peak)}
}

func (r *report) writeText(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells []string) {
		for _, c := range cells {
			fmt.Fprint(t, c, "\t")
		}
		fmt.Fprintln(t)
	}
	r.table(line)
	_ = t.Flush() // to a terminal
	fmt.Fprintln(t)
	line(memoryHead)
	for _, m := range r.resident {
		line(m.cells())
	}
	_ = t.Flush()
	fmt.Fprintln(w, r.conditions())
}

// writeFile has a report written into a file.
func writeFile(path string, write func(io.Writer)) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	write(f)
	return f.Close()
}
