// Command bottles starts ten bottles at once and measures how long it takes until
// the last one is ready and how much memory all of their containers have; before
// that it starts one alone, several times. It is `make bottles`, and writes
// docs/benchmarks/bottles.md.
//
// It needs the binaries (`make build`), the images (`make images`) and an engine on
// this machine, and leaves nothing behind.
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
)

func main() {
	o := options{}
	flag.IntVar(&o.bottles, "n", 10, "bottles at once")
	flag.IntVar(&o.rounds, "rounds", 5, "starts of one bottle alone")
	flag.StringVar(&o.out, "o", "", "`DIRECTORY` for bottles.md; absent: print only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bottles:", err)
		os.Exit(1)
	}
}

type options struct {
	bottles, rounds int
	out             string
}

func run(ctx context.Context, o options) (err error) {
	m, err := newMeasure()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(m.dir)) }()
	for range o.rounds {
		took, err := m.alone(ctx)
		if err != nil {
			return err
		}
		m.single = append(m.single, took)
	}
	if err := m.together(ctx, o.bottles); err != nil {
		return err
	}
	text := m.markdown()
	fmt.Print(text)
	if o.out == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(o.out, "bottles.md"), []byte(text), 0o644)
}
