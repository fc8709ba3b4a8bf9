package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// rounds is how often each figure of the table is taken, in turn with the others;
// the median stands in it.
const rounds = 3

// writeTable measures all cases and writes docs/benchmarks/git.md. It is what
// `make bench-git` runs the test binary for, as "bench-table FILE".
func writeTable(file string) int {
	testing.Init()
	if err := flag.Set("test.benchtime", "1x"); err != nil {
		panic(err)
	}
	out, err := os.Create(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	whole := false
	testing.Benchmark(func(b *testing.B) {
		if !whole {
			table(b, out)
			whole = true
		}
	})
	if err := out.Close(); err != nil || !whole {
		fmt.Fprintln(os.Stderr, "the table is not whole:", err)
		return 1
	}
	return 0
}

func table(b *testing.B, out io.Writer) {
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(out, `# What a push through the git gate costs

Written by %s. %s, %s/%s, %d processors, load %.4s at the beginning; %d rounds, medians.

A push goes to a new upstream behind a real sshd on this machine, directly or
through gitgated; the gated one includes the scan. Each commit changes a line in two
source files. Scan is that scan by itself, beside %s on the same commits: the
gate reads every object whole, gitleaks the added lines of the patches, and of a
binary nothing.

| push | objects | direct | through the gate | × direct | scan | gitleaks git | × faster |
|---|---|---|---|---|---|---|---|
`, "`make bench-git`", time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load, rounds, "`gitleaks git`")
	for _, c := range cases {
		m := measure(b, c.make)
		var direct, gated, scan, leaks []time.Duration
		objects := int64(0)
		for range rounds {
			direct, gated = append(direct, m.push(b, false)), append(gated, m.push(b, true))
			began := time.Now()
			objects = m.scan(b).Objects.Load()
			scan = append(scan, time.Since(began))
			began = time.Now()
			m.gitleaks(b)
			leaks = append(leaks, time.Since(began))
		}
		name := strings.Replace(c.name, "MB", " MB in one file", 1)
		switch {
		case name == "1":
			name += " commit"
		case !strings.Contains(name, "MB"):
			name += " commits"
		}
		fmt.Fprintf(out, "| %s | %d | %s | %s | %.2f | %s | %s | %.1f |\n", name, objects,
			seconds(direct), seconds(gated), ratio(gated, direct), seconds(scan), seconds(leaks), ratio(leaks, scan))
		fmt.Fprintf(os.Stderr, "%s: direct %v, gated %v, scan %v, gitleaks %v\n", name, direct, gated, scan, leaks)
	}
}

func median(all []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

func seconds(all []time.Duration) string { return fmt.Sprintf("%.2f s", median(all).Seconds()) }

// ratio is the median of the rounds' ratios: what else the machine did in a round
// is in both.
func ratio(a, b []time.Duration) float64 {
	var all []float64
	for i := range a {
		all = append(all, a[i].Seconds()/b[i].Seconds())
	}
	slices.Sort(all)
	return all[len(all)/2]
}
