package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"reflect"
	"sync/atomic"

	"github.com/bottlesuite/bottle/egressd/internal/scrub"
	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/certs"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/dnsanswer"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/relay"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// policyInForce is what a reload swaps: routes and the tokens they name.
type policyInForce struct {
	routes      []wire.Route
	table       *route.Table
	credentials credentials
	authority   *certs.Authority
	scrub       map[string]*scrub.Set // by the token_ref that is left out, "" for none
}

// service is a running egressd.
type service struct {
	*daemon.Recorder
	config    wire.Egressd
	errorLog  *log.Logger
	policy    atomic.Pointer[policyInForce]
	relayKey  *relay.Key
	transport http.RoundTripper
	proxy     *httputil.ReverseProxy
	tunnels   *mitm.Server
	port      *mitm.Port
	names     *dnsanswer.Server // nil when the configuration has no dns
}

func newService(c *wire.Egressd, env daemon.Env) (daemon.Service[wire.Egressd], error) {
	s := &service{config: *c, Recorder: daemon.NewRecorder(env), errorLog: slog.NewLogLogger(env.Log.Handler(), slog.LevelDebug)}
	p, err := loadPolicy(c)
	if err != nil {
		return nil, err
	}
	s.policy.Store(p)
	if c.Upstream.RelayKey != "" {
		key, err := relay.LoadKey(c.Upstream.RelayKey)
		if err != nil {
			return nil, err
		}
		s.relayKey = &key
	}
	transport, err := newTransport(c.Upstream)
	if err != nil {
		return nil, err
	}
	s.transport = mitm.NewMirror(transport)
	s.proxy = s.newProxy()
	s.tunnels = mitm.New(mitm.Options{
		Leaf:     s.leaf,
		Handler:  s,
		Refused:  s.serverNameRefused,
		Unread:   s.requestUnread,
		ErrorLog: s.errorLog,
	})
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

// leaf mints under the signing certificate in force. The tunnel's host was
// judged when it was opened; what is said inside is judged anew.
func (s *service) leaf(host string) (*tls.Certificate, error) {
	return s.policy.Load().authority.Leaf(host)
}

func loadPolicy(c *wire.Egressd) (*policyInForce, error) {
	table, err := route.Compile(c.Routes)
	if err != nil {
		return nil, err
	}
	creds, err := loadCredentials(c.SecretsDir, c.Routes)
	if err != nil {
		return nil, err
	}
	authority, err := certs.LoadAuthority(c.CA.Certificate, c.CA.Key)
	if err != nil {
		return nil, err
	}
	return &policyInForce{c.Routes, table, creds, authority, scrubSets(c.Routes, creds)}, nil
}

// Reload swaps routes, tokens and the signing certificate.
func (s *service) Reload(c *wire.Egressd) error {
	was := s.config
	if c.Listen != was.Listen || !reflect.DeepEqual(c.Upstream, was.Upstream) || c.Audit != was.Audit || c.Bottle != was.Bottle || !reflect.DeepEqual(c.DNS, was.DNS) {
		return errors.New("a reload changes routes, tokens and the CA only; restart egressd for another bottle, listen, upstream, dns or audit")
	}
	p, err := loadPolicy(c)
	if err != nil {
		return err
	}
	s.policy.Store(p)
	return nil
}

// Serve works until ctx ends.
func (s *service) Serve(ctx context.Context) error {
	if s.names == nil {
		return s.port.Serve(ctx)
	}
	return s.port.Serve(ctx, s.names.Serve)
}

// recordName records a DNS question that was answered with NXDOMAIN.
func (s *service) recordName(name, qtype string) {
	s.Record(audit.Entry{
		Event: "dns", Decision: policy.Deny, Reason: policy.ReasonNameNotAnswered,
		Method: qtype, Host: masked(clip(name)), RequestID: audit.NewRequestID(),
	})
}
