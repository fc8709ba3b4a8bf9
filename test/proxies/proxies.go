// Package proxies runs the real binaries of egressd and pipelockd as processes
// of their own, on loopback, with throwaway keys: a bottle's data path without
// the bottle, for programs that measure it or wear it out.
package proxies

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Token is the value of the token_ref TOKEN that routes may inject.
const Token = "trial-token-trial-token"

var loopback = []string{"127.0.0.0/8"}

// Config says what is started.
type Config struct {
	// Bin is the directory of the binaries, Dir takes keys, configurations and
	// audit logs. Both must exist.
	Bin, Dir string
	// Routes are egressd's.
	Routes []wire.Route
	// Hosts are what may be reached ("name:port"); all are on loopback.
	Hosts []string
	// UpstreamCA is the PEM file of the upstreams' authority.
	UpstreamCA string
	// Processors is GOMAXPROCS of the daemons; 0 leaves it to them.
	Processors int
	// Alone leaves pipelockd out.
	Alone bool
}

// Proxies are the running processes.
type Proxies struct {
	// URL is egressd as a client's proxy, CA the PEM file that the client trusts.
	URL, CA string
	Egressd *Daemon
	// Pipelockd is nil when egressd runs alone.
	Pipelockd *Daemon
	config    wire.Egressd
}

// Start starts the processes and waits until they are healthy.
func Start(c Config) (_ *Proxies, err error) {
	p := &Proxies{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop())
		}
	}()
	addresses, err := freeAddresses(3)
	if err != nil {
		return p, err
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "TOKEN"), []byte(Token), 0o600); err != nil {
		return p, err
	}
	keys, err := authority(c.Dir, "egress")
	if err != nil {
		return p, err
	}
	p.URL, p.CA = "http://"+addresses[0], keys.Certificate
	p.config = wire.Egressd{
		Version: wire.Version, Bottle: "trial-00000",
		Listen:   wire.EgressdListen{Proxy: addresses[0], Admin: addresses[1]},
		CA:       keys,
		Upstream: wire.Upstream{CA: c.UpstreamCA, AllowPrivate: loopback, Hosts: map[string]string{}},
		Audit:    wire.Audit{File: filepath.Join(c.Dir, "egressd.jsonl")}, SecretsDir: c.Dir,
		Routes: c.Routes,
	}
	for _, authority := range c.Hosts {
		name, _, err := net.SplitHostPort(authority)
		if err != nil {
			return p, err
		}
		p.config.Upstream.Hosts[name] = "127.0.0.1"
	}
	if !c.Alone {
		if p.Pipelockd, err = startPipelockd(c, addresses[2], &p.config.Upstream); err != nil {
			return p, err
		}
	}
	p.Egressd, err = c.startDaemon("egressd", p.config)
	return p, err
}

// startPipelockd starts it and tells egressd how to reach it.
func startPipelockd(c Config, admin string, way *wire.Upstream) (*Daemon, error) {
	keys, err := authority(c.Dir, "pipelock")
	if err != nil {
		return nil, err
	}
	hosts := way.Hosts
	*way = wire.Upstream{Proxy: wire.Socket(filepath.Join(c.Dir, "hop.sock")), CA: keys.Certificate, RelayKey: filepath.Join(c.Dir, "relay.key")}
	relay := hex.EncodeToString(bytes.Repeat([]byte{7}, 32)) + "\n"
	if err := os.WriteFile(way.RelayKey, []byte(relay), 0o600); err != nil {
		return nil, err
	}
	config := wire.Pipelockd{
		Version: wire.Version, Bottle: "trial-00000",
		Listen: wire.PipelockdListen{Proxy: way.Proxy, Admin: admin},
		CA:     keys, RelayKey: way.RelayKey, UpstreamCA: []string{c.UpstreamCA},
		Audit:        wire.Audit{File: filepath.Join(c.Dir, "pipelockd.jsonl")},
		AllowPrivate: loopback, Hosts: hosts,
	}
	for _, authority := range c.Hosts {
		config.Allow = append(config.Allow, wire.AllowHost{Host: authority})
	}
	return c.startDaemon("pipelockd", config)
}

// SetRoutes replaces egressd's routes in its file, whole or not at all, and
// tells it to reload. [Daemon.ConfigSHA256] says when it has.
func (p *Proxies) SetRoutes(routes []wire.Route) (sha256 string, err error) {
	p.config.Routes = routes
	if sha256, err = p.Egressd.configure(p.config); err != nil {
		return "", err
	}
	return sha256, p.Egressd.hangUp()
}

// Daemons are the processes that run.
func (p *Proxies) Daemons() []*Daemon {
	var all []*Daemon
	for _, d := range []*Daemon{p.Egressd, p.Pipelockd} {
		if d != nil {
			all = append(all, d)
		}
	}
	return all
}

// Stop ends the processes. It is an error when one of them had ended before, or
// ends badly.
func (p *Proxies) Stop() error {
	var errs []error
	for _, d := range p.Daemons() {
		errs = append(errs, d.Stop())
	}
	return errors.Join(errs...)
}

func authority(dir, name string) (wire.KeyPair, error) {
	ca, err := testkit.MakeCA(name)
	if err != nil {
		return wire.KeyPair{}, err
	}
	cert, key, err := ca.Save(dir, name)
	if err != nil {
		return wire.KeyPair{}, fmt.Errorf("cannot store the %s authority: %w", name, err)
	}
	return wire.KeyPair{Certificate: cert, Key: key}, nil
}

// freeAddresses picks loopback addresses that are free now.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
