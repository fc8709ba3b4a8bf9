package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/dnsanswer"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/relay"
	"github.com/bottlesuite/bottle/internal/wire"
)

// drain is how long requests in flight may take after a SIGTERM.
const drain = 3 * time.Second

// service is a running pipelockd.
type service struct {
	config   wire.Pipelockd
	log      *slog.Logger
	errorLog *log.Logger
	audit    *audit.Log
	counters daemon.Counters
	table    atomic.Pointer[table]
	relayKey relay.Key // the zero key, which verifies nothing, without egressd
	proxy    *httputil.ReverseProxy
	tunnels  *mitm.Server
	listener net.Listener
	names    *dnsanswer.Server // nil without a dns section
}

func newService(c *wire.Pipelockd, env daemon.Env) (daemon.Service[wire.Pipelockd], error) {
	s, err := prepare(c, env)
	if err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("tcp", c.Listen.Proxy); err != nil {
		return nil, fmt.Errorf("cannot listen for requests: %w", err)
	}
	if c.DNS != nil {
		if s.names, err = dnsanswer.Listen(*c.DNS, s.recordName); err != nil {
			_ = s.listener.Close()
			return nil, err
		}
	}
	return s, nil
}

// prepare does everything but listen.
func prepare(c *wire.Pipelockd, env daemon.Env) (*service, error) {
	s := &service{
		config: *c, log: env.Log, audit: env.Audit,
		errorLog: slog.NewLogLogger(env.Log.Handler(), slog.LevelDebug),
	}
	t, err := newTable(c)
	if err != nil {
		return nil, err
	}
	s.table.Store(t)
	if c.RelayKey != "" {
		if s.relayKey, err = relay.LoadKey(c.RelayKey); err != nil {
			return nil, err
		}
	}
	s.proxy = s.newProxy()
	s.tunnels = mitm.New(mitm.Options{
		Leaf:     func(host string) (*tls.Certificate, error) { return s.table.Load().authority.Leaf(host) },
		Handler:  s,
		Refused:  s.serverNameRefused,
		ErrorLog: s.errorLog,
	})
	return s, nil
}

func sameDNS(a, b *wire.DNS) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Listen == b.Listen && maps.Equal(a.Names, b.Names)
}

// Counters implements [daemon.Service].
func (s *service) Counters() map[string]uint64 { return s.counters.Snapshot() }

// Serve works until ctx ends.
func (s *service) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2)
	if s.names != nil {
		go func() {
			if err := s.names.Serve(ctx); err != nil {
				failed <- err
			}
		}()
	}
	front := &http.Server{
		Handler:           s.newFront(),
		ReadHeaderTimeout: mitm.ReadHeaderTimeout,
		IdleTimeout:       mitm.IdleTimeout,
		MaxHeaderBytes:    mitm.MaxHeaderBytes,
		ErrorLog:          s.errorLog,
	}
	go func() { failed <- front.Serve(s.listener) }()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer stop()
	if front.Shutdown(end) != nil {
		_ = front.Close()
	}
	_ = s.tunnels.Shutdown(end) // what is left is cut
	s.table.Load().transport.CloseIdleConnections()
	return err
}
