// Command bench measures what a bottle's data path costs: egressd alone, and
// egressd with pipelockd behind it, against a direct connection to the same TLS
// upstream in the same run. It is `make bench`; with -peers, `make bench-peers`,
// Debian's mitmproxy runs beside ours.
//
// Everything is the real binary in a process of its own, on loopback, all checks
// on: the proxies, the upstream, and the client that makes the load, which are
// this program again. Each case is measured in short slices, the ways taking
// turns, so that whatever else the machine does hits all of them alike. Figures
// are medians over the rounds; "added" is the median of the differences within a
// round.
//
// The processor time of each proxy per request stands beside the latencies: it
// tells a better version from a worse one on a machine that is not quiet, too.
// Nothing here judges a time: that is for a reader.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/test/trial"
)

// roleVariable makes this program play one of its other parts.
const roleVariable = "BOTTLE_BENCH_ROLE"

func main() {
	if played, err := playRole(); played || err != nil {
		exit(err)
	}
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 9, "slices of each case and way")
	flag.DurationVar(&o.slice, "slice", time.Second, "`DURATION` of a slice")
	flag.BoolVar(&o.peers, "peers", false, "measure Debian's mitmproxy, too")
	flag.StringVar(&o.only, "only", "", "cases whose name contains `TEXT`")
	flag.IntVar(&o.processors, "processors", 1, "GOMAXPROCS of the proxies: 1 as in their containers, 0 leaves it to Go")
	out := flag.String("o", "", "`DIR` for the results as markdown and SVG; nothing is written without it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, o, *out))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// playRole does the work of the upstream or the client, if that is asked for.
func playRole() (bool, error) {
	switch os.Getenv(roleVariable) {
	case "upstream":
		return true, serveUpstream(os.Stdin, os.Stdout)
	case "client":
		return true, serveLoad(os.Stdin, os.Stdout)
	}
	return false, nil
}

// run measures everything and reports it.
func run(ctx context.Context, o options, out string) error {
	bin, err := trial.Binaries("bin")
	if err != nil {
		return err
	}
	o.bin = bin
	report, err := measure(ctx, o)
	if err != nil {
		return err
	}
	report.writeText(os.Stdout)
	if out == "" {
		return nil
	}
	name := "results"
	if o.peers {
		name = "peers"
	}
	return errors.Join(
		writeFile(filepath.Join(out, name+".md"), report.writeMarkdown),
		writeFile(filepath.Join(out, name+".svg"), report.writeSVG),
	)
}
