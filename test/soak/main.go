// Command soak sends requests through egressd, or egressd and pipelockd, while
// the routes change all the time, and judges every answer. It is `make soak`.
//
// The paths /v1/flip/0 and /v1/flip/1 are allowed by turns: each reload, by a
// new file and SIGHUP, swaps them. /v1/always is allowed by every table and
// /v1/never by none. A verdict is right when a table that was in force at some
// time between the request's start and its end gives it. What the upstream saw
// must agree: a request that was allowed arrived once, a denied one never. A
// request that has neither answer is dropped.
//
// Memory is sampled once a second; the slope over the second half of the run
// says whether it grows. The program ends with a status other than 0 when a
// verdict was wrong, a request was dropped, a reload did not come into force, a
// daemon ended, or memory grew.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/test/trial"
)

func main() {
	o := options{}
	flag.DurationVar(&o.duration, "duration", 10*time.Minute, "`DURATION` of the load")
	flag.IntVar(&o.rate, "rate", 500, "requests a second")
	flag.DurationVar(&o.reload, "reload", time.Second, "pause between two reloads")
	flag.BoolVar(&o.chain, "chain", false, "pipelockd behind egressd")
	flag.Float64Var(&o.growth, "growth", 0.5, "`MiB` a minute that a daemon's memory may grow by")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	bin, err := trial.Binaries("bin")
	if err != nil {
		return err
	}
	o.bin = bin
	r, err := soak(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println(r)
	return errors.Join(r.faults...)
}
