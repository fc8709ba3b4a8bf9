package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/net/netutil"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Bounds of what clients can make the server hold.
const (
	defaultWait    = 30 * time.Second
	sessionTimeout = 30 * time.Minute
	maxSessions    = 32
	maxConnections = 128
	maxWaiting     = 64      // calls that wait at a time; further ones return at once
	maxRequest     = 1 << 20 // bytes
	maxEvents      = 1 << 20 // bytes kept for clients that reconnect
	shutdownTime   = 2 * time.Second
)

// service is a running superviserd.
type service struct {
	*daemon.Recorder
	config   atomic.Pointer[wire.Superviserd]
	desk     *queue.Desk
	mcp      *mcp.Server
	http     *http.Server
	listener net.Listener
	waiting  chan struct{} // a place for each call that waits
	stopping chan struct{} // closed when calls must return
}

func newService(c *wire.Superviserd, env daemon.Env) (daemon.Service[wire.Superviserd], error) {
	for _, dir := range []string{c.Queue.Proposals, c.Queue.Decisions} {
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
			return nil, fmt.Errorf("the queue needs the directory %s, which is not there; create it", dir)
		}
	}
	s := &service{
		Recorder: daemon.NewRecorder(env),
		desk:     &queue.Desk{Box: queue.Box(c.Queue)},
		waiting:  make(chan struct{}, maxWaiting),
		stopping: make(chan struct{}),
	}
	s.config.Store(c)
	s.mcp = s.newServer()
	events := mcp.NewMemoryEventStore(nil)
	events.SetMaxBytes(maxEvents)
	handler := mcp.NewStreamableHTTPHandler(s.session, &mcp.StreamableHTTPOptions{
		EventStore: events, SessionTimeout: sessionTimeout, MaxRequestBodyBytes: maxRequest,
		DisableLocalhostProtection:   true, // guard checks every Host, on every address
		PropagateRequestCancellation: true,
	})
	s.http = &http.Server{
		Handler: s.guard(handler), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slogLog(env.Log),
	}
	l, err := net.Listen("tcp", c.Listen.MCP)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for MCP: %w", err)
	}
	s.listener = netutil.LimitListener(l, maxConnections)
	return s, nil
}

func slogLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }

// session gives a new session the server. It ends the oldest one when there are
// too many: clients that come and go do not always say goodbye.
func (s *service) session(*http.Request) *mcp.Server {
	n, oldest := 0, (*mcp.ServerSession)(nil)
	for ss := range s.mcp.Sessions() {
		if n++; oldest == nil {
			oldest = ss
		}
	}
	if n >= maxSessions {
		s.Count("sessions_ended")
		go func() { _ = oldest.Close() }()
	}
	return s.mcp
}

// Serve works until ctx ends.
func (s *service) Serve(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	close(s.stopping) // calls that wait return "pending"
	quit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	_ = s.http.Shutdown(quit) // streams that clients keep open are cut
	_ = s.http.Close()
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Reload puts another view of the policy into force, and other names and
// another patience. Sessions and calls that wait go on.
func (s *service) Reload(c *wire.Superviserd) error {
	was := s.config.Load()
	if c.Listen != was.Listen || c.Queue != was.Queue || c.Audit != was.Audit || c.Bottle != was.Bottle {
		return errors.New("a reload changes policy, hosts and wait only; restart superviserd for another bottle, listen, queue or audit")
	}
	s.config.Store(c)
	return nil
}

// wait is how long a call waits for the operator.
func (s *service) wait() time.Duration {
	if w := time.Duration(s.config.Load().Wait); w > 0 {
		return w
	}
	return defaultWait
}
