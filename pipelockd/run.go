package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/dnsanswer"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/safedial"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Run is the whole program: it interprets args and works until ctx ends.
func Run(ctx context.Context, args, env []string, stdio daemon.Stdio) error {
	return daemon.Run(ctx, daemon.Spec[wire.Pipelockd]{
		Name:     "pipelockd",
		Summary:  "the way to the internet: dials allowed hosts only, stops leaking secrets",
		Basics:   basics,
		Validate: validate,
		Check:    check,
		New:      newService,
		Commands: commands(),
	}, args, env, stdio)
}

func basics(c *wire.Pipelockd) daemon.Basics {
	return daemon.Basics{Version: c.Version, Bottle: c.Bottle, Admin: c.Listen.Admin, Audit: c.Audit}
}

func validate(doc *wire.Doc, c *wire.Pipelockd) error {
	for i, a := range c.Allow {
		if _, err := newAllowlist([]wire.AllowHost{a}); err != nil {
			at := fmt.Sprintf("allow[%d].host", i)
			return doc.Errorf(at, "%s: %v", at, err)
		}
	}
	for name := range c.Hosts {
		if _, err := route.Host(name); err != nil {
			return doc.Errorf("hosts", "hosts: %q is not a host name: %v", name, err)
		}
	}
	if _, err := safedial.New(safedial.Options{Hosts: c.Hosts}); err != nil {
		return doc.Errorf("hosts", "%v", err)
	}
	for i, p := range c.AllowPrivate {
		if _, err := safedial.New(safedial.Options{AllowPrivate: []string{p}}); err != nil {
			return doc.Errorf(fmt.Sprintf("allow_private[%d]", i), "%v", err)
		}
	}
	for _, f := range []struct{ field, value string }{
		{"listen.proxy", c.Listen.Proxy}, {"ca.certificate", c.CA.Certificate}, {"ca.key", c.CA.Key},
	} {
		if f.value == "" {
			return doc.Errorf(f.field, "%s is missing", f.field)
		}
	}
	if _, _, err := wire.SocketPath(c.Listen.Proxy); err != nil {
		return doc.Errorf("listen.proxy", "listen.proxy: %v", err)
	}
	for i, a := range c.Scan.Actions {
		if _, err := newAction(a); err != nil {
			at := fmt.Sprintf("scan.actions[%d]", i)
			return doc.Errorf(at, "%s: %v", at, err)
		}
	}
	if c.Known != nil && (c.Known.Key == "" || c.Known.Fingerprints == "") {
		return doc.Errorf("known", "known needs both key and fingerprints")
	}
	if c.Limits.RequestsPerMinute < 0 || c.Limits.Burst < 0 {
		return doc.Errorf("limits", "a limit is 0, for none, or more")
	}
	return dnsanswer.Validate(doc, c.DNS)
}

// check decides about one request's destination and URL as the running daemon
// would. Addresses, headers and bodies are not part of it.
func check(c *wire.Pipelockd, method, rawURL string) (policy.Decision, error) {
	list, err := newAllowlist(c.Allow)
	if err != nil {
		return policy.Decision{}, err
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return policy.Decision{}, fmt.Errorf("%q is not an http or https URL", rawURL)
	}
	d := destination{scheme: u.Scheme, method: method}
	if denial := d.read(u.Host, u.User != nil); denial != nil {
		return *denial, nil
	}
	if _, denial := judgePath(u.EscapedPath(), u.RawQuery); denial != nil {
		return *denial, nil
	}
	_, decision := list.judge(d)
	if !decision.OK() {
		return decision, nil
	}
	s, err := newScanning(&wire.Pipelockd{Scan: c.Scan})
	if err != nil {
		return policy.Decision{}, err
	}
	x := &exchange{destination: d, table: &table{scanning: s}}
	if f := x.scanURL(u.RequestURI()); f != nil {
		return f.denied(), nil
	}
	return decision, nil
}
