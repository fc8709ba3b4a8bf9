package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/dnsanswer"
	"github.com/bottlesuite/bottle/internal/egress"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/safedial"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Run is the whole program: it interprets args and works until ctx ends.
func Run(ctx context.Context, args, env []string, stdio daemon.Stdio) error {
	return daemon.Run(ctx, daemon.Spec[wire.Egressd]{
		Name:     "egressd",
		Summary:  "the agent's HTTP(S) proxy: allows by route, injects credentials",
		Admin:    "127.0.0.1:9901",
		Basics:   basics,
		Validate: validate,
		Check:    check,
		New:      newService,
	}, args, env, stdio)
}

func basics(c *wire.Egressd) daemon.Basics {
	return daemon.Basics{Version: c.Version, Bottle: c.Bottle, Admin: c.Listen.Admin, Audit: c.Audit}
}

func validate(doc *wire.Doc, c *wire.Egressd) error {
	for i, r := range c.Routes {
		if field, err := route.Validate(r); err != nil {
			return doc.Errorf(fmt.Sprintf("routes[%d].%s", i, field), "routes[%d].%s: %v", i, field, err)
		}
		if r.Auth != nil && c.SecretsDir == "" {
			return doc.Errorf(fmt.Sprintf("routes[%d].auth", i), "routes[%d] injects a token, but secrets_dir does not say where the token files are", i)
		}
	}
	if _, err := route.Compile(c.Routes); err != nil {
		return doc.Errorf("routes", "%v", err)
	}
	for field, value := range map[string]string{
		"listen.proxy": c.Listen.Proxy, "ca.certificate": c.CA.Certificate, "ca.key": c.CA.Key,
	} {
		if value == "" {
			return doc.Errorf(field, "%s is missing", field)
		}
	}
	if _, _, err := wire.SocketPath(c.Listen.Proxy); err != nil {
		return doc.Errorf("listen.proxy", "listen.proxy: %v", err)
	}
	if err := validateUpstream(doc, c.Upstream); err != nil {
		return err
	}
	return dnsanswer.Validate(doc, c.DNS)
}

func validateUpstream(doc *wire.Doc, u wire.Upstream) error {
	if u.Proxy == "" {
		if u.RelayKey != "" {
			return doc.Errorf("upstream.relay_key", "upstream.relay_key is for pipelockd; without upstream.proxy nothing reads it, so remove it")
		}
		if _, err := safedial.New(safedial.Options{Hosts: u.Hosts, AllowPrivate: u.AllowPrivate}); err != nil {
			return doc.Errorf("upstream", "upstream: %v", err)
		}
		return nil
	}
	if len(u.AllowPrivate)+len(u.Hosts) > 0 {
		return doc.Errorf("upstream.proxy", "upstream.allow_private and upstream.hosts are pipelockd's to say, which judges addresses behind upstream.proxy; move them there")
	}
	if err := validateProxy(u.Proxy); err != nil {
		return doc.Errorf("upstream.proxy", "upstream.proxy: %v", err)
	}
	if u.CA == "" {
		return doc.Errorf("upstream.proxy", "upstream.ca is missing: with a proxy behind it, egressd trusts that proxy's roots only")
	}
	return nil
}

func validateProxy(proxy string) error {
	if _, ok, err := wire.SocketPath(proxy); ok || err != nil {
		return err
	}
	p, err := url.Parse(proxy)
	if err != nil || p.Scheme != "http" || p.Host == "" || strings.Trim(p.Path, "/") != "" || p.User != nil {
		return errors.New("it must be pipelockd's URL, such as http://pipelock:8888, or the path of its socket, such as unix:///run/bottle/hop/pipelockd.sock")
	}
	return nil
}

// check decides about one request as the running daemon would.
func check(c *wire.Egressd, method, rawURL string) (policy.Decision, error) {
	table, err := route.Compile(c.Routes)
	if err != nil {
		return policy.Decision{}, err
	}
	r, denial, err := egress.ReadURL(method, rawURL)
	if err != nil {
		return policy.Decision{}, err
	}
	if denial != nil {
		return *denial, nil
	}
	d, _ := egress.Judge(table, r, nil)
	return d, nil
}
