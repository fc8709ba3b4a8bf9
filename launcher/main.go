// Command launcher starts bottles, looks into them and takes them down. See
// `launcher help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/bottlesuite/bottle/launcher/internal/command"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		cancel(command.Interrupted(<-signals))
		for range signals { // the teardown is under way and bounded; it is not to be interrupted
		}
	}()
	err := command.Run(ctx, os.Args, os.Environ(), command.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	os.Exit(command.Status(err))
}
