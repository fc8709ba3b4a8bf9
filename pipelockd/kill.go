package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// killSwitch stops everything that leaves, for good: only a restart lifts it. It
// is thrown by `pipelockd kill`, by SIGUSR1, or by a file that appears.
type killSwitch struct {
	thrown atomic.Bool
	open   sync.Map // *frameConn to nothing: what outlives its request
}

// killPoll is how often the file is looked for.
const killPoll = 250 * time.Millisecond

// kill throws the switch: new requests are denied, tunnels and WebSockets cut.
func (s *service) kill(by string) {
	if s.killed.thrown.Swap(true) {
		return
	}
	s.Record(audit.Entry{Event: "kill", Decision: policy.Deny, Reason: policy.ReasonKilled, Detail: "everything is stopped " + by})
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.tunnels.Shutdown(now) // cuts what is open
	s.killed.open.Range(func(c, _ any) bool {
		_ = c.(*frameConn).Close()
		return true
	})
	s.table.Load().transport.CloseIdleConnections()
}

// killedDenial is the denial while the switch is thrown, else nil.
func (s *service) killedDenial() *policy.Decision {
	if !s.killed.thrown.Load() {
		return nil
	}
	return refuse(policy.ReasonKilled, "The operator has stopped everything that leaves this bottle; only the operator can start it again.")
}

// watchKill waits for the signal and the file until ctx ends.
func (s *service) watchKill(ctx context.Context) error {
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGUSR1)
	defer signal.Stop(sig)
	tick := time.NewTicker(killPoll)
	defer tick.Stop()
	for {
		if s.killFileThere() {
			s.kill("because the file " + s.config.KillFile + " is there")
		}
		select {
		case <-sig:
			s.kill("by a signal")
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *service) killFileThere() bool {
	if s.config.KillFile == "" {
		return false
	}
	_, err := os.Stat(s.config.KillFile)
	return err == nil
}

// HandleAdmin implements [daemon.AdminHandler].
func (s *service) HandleAdmin(mux *http.ServeMux) {
	mux.HandleFunc("POST /kill", func(w http.ResponseWriter, _ *http.Request) {
		s.kill("by command")
		fmt.Fprintln(w, "everything that leaves the bottle is stopped; restart pipelockd to lift that")
	})
}

func commands() map[string]daemon.Command[wire.Pipelockd] {
	return map[string]daemon.Command[wire.Pipelockd]{
		"kill": {Usage: "kill", Summary: "stop everything that leaves, until a restart", Run: func(ctx context.Context, c daemon.Call[wire.Pipelockd]) error {
			return c.Post(ctx, "/kill", c.Stdio.Out)
		}},
		"rules": {Usage: "rules", Summary: "list the rules by which secrets are found", Run: func(_ context.Context, c daemon.Call[wire.Pipelockd]) error {
			return writeRules(c.Stdio.Out)
		}},
	}
}
