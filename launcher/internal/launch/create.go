package launch

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/compose"
)

// bringUp makes and starts what the rendered file says. The file is the one source:
// what is asked of the engine is read back from it, not made beside it.
func (b *Bottle) bringUp(ctx context.Context, env map[string]string) error {
	rendered, err := os.ReadFile(b.state.Path("compose.yaml"))
	if err != nil {
		return fmt.Errorf("cannot read the rendered bundle: %w", err)
	}
	dir, err := filepath.Abs(b.state.Dir)
	if err != nil {
		return fmt.Errorf("cannot tell where the bundle is: %w", err)
	}
	c, err := compose.Requests(rendered, compose.Project(string(b.Spec.Identity)), dir, env)
	if err != nil {
		return err
	}
	if err := b.clock.open(b.state.Path("compose.log")); err != nil {
		return err
	}
	b.host.say("containers: making %d in %s", len(c.Containers), b.Spec.Block)
	b.clock.lap("bundle written")
	if err := b.host.Engine.Create(ctx, c, b.clock.lap); err != nil {
		return b.clock.failed(err)
	}
	err = b.host.Engine.Start(ctx, c.Containers, func(r compose.ContainerRequest, left int) {
		b.clock.lap("started " + r.Service)
		if left > 0 {
			b.host.say("containers: %s runs, %d to come", r.Service, left)
		} else {
			b.host.say("containers: %s runs; waiting until all are ready, and looking at what the engine made", r.Service)
		}
	})
	return b.clock.failed(err)
}

// clock writes down when each part of a start was done, into compose.log. It is
// safe for concurrent use, and silent until it is opened.
type clock struct {
	began time.Time
	mu    sync.Mutex
	log   io.WriteCloser
}

func newClock() *clock { return &clock{began: time.Now()} }

// open has the clock write to a file, behind what is there.
func (c *clock) open(file string) error {
	c.close()
	log, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the log of the start: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log
	return nil
}

// lap notes that something is done, with the seconds since the start began.
func (c *clock) lap(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log != nil {
		fmt.Fprintf(c.log, "%s %7.3f %s\n", time.Now().UTC().Format(time.RFC3339), time.Since(c.began).Seconds(), what)
	}
}

// failed notes an error and returns it.
func (c *clock) failed(err error) error {
	if err != nil {
		c.lap("failed: " + err.Error())
	}
	return err
}

func (c *clock) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log != nil {
		_ = c.log.Close()
		c.log = nil
	}
}
