package main

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"maps"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/dnsanswer"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/relay"
	"github.com/bottlesuite/bottle/internal/wire"
)

// service is a running pipelockd.
type service struct {
	*daemon.Recorder
	config   wire.Pipelockd
	errorLog *log.Logger
	table    atomic.Pointer[table]
	relayKey relay.Key // the zero key, which verifies nothing, without egressd
	proxy    *httputil.ReverseProxy
	tunnels  *mitm.Server
	port     *mitm.Port
	names    *dnsanswer.Server // nil without a dns section
	bodies   *budget
	meters   meters
	seen     sightings
	killed   killSwitch
	headTime time.Duration // for the part of a body that is judged first
}

func newService(c *wire.Pipelockd, env daemon.Env) (daemon.Service[wire.Pipelockd], error) {
	s, err := prepare(c, env)
	if err != nil {
		return nil, err
	}
	if s.port, err = mitm.Listen(c.Listen.Proxy, s.newFront(), s.tunnels, s.errorLog); err != nil {
		return nil, err
	}
	if c.DNS != nil {
		if s.names, err = dnsanswer.Listen(*c.DNS, s.recordName); err != nil {
			_ = s.port.Close()
			return nil, err
		}
	}
	return s, nil
}

// prepare does everything but listen.
func prepare(c *wire.Pipelockd, env daemon.Env) (*service, error) {
	s := &service{
		config: *c, Recorder: daemon.NewRecorder(env),
		bodies: newBudget(budgetSize, patience), headTime: headTime,
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
	s.killed.thrown.Store(s.killFileThere())
	s.proxy = s.newProxy()
	s.tunnels = mitm.New(mitm.Options{
		Leaf:     func(host string) (*tls.Certificate, error) { return s.table.Load().authority.Leaf(host) },
		Handler:  s,
		Refused:  s.serverNameRefused,
		Unread:   s.requestUnread,
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

// Serve works until ctx ends.
func (s *service) Serve(ctx context.Context) error {
	defer func() { s.table.Load().transport.CloseIdleConnections() }()
	if s.names == nil {
		return s.port.Serve(ctx, s.watchKill)
	}
	return s.port.Serve(ctx, s.watchKill, s.names.Serve)
}
