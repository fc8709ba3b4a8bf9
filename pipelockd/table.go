package main

import (
	"errors"
	"slices"
	"time"

	"github.com/bottlesuite/bottle/internal/certs"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/safedial"
	"github.com/bottlesuite/bottle/internal/wire"
)

// table is what a reload swaps, as a whole. A request keeps the table that it
// began with.
type table struct {
	allow     *allowlist
	authority *certs.Authority
	// transport has its dialer and its roots, so connections that an older
	// table allowed are not reused by a newer one.
	transport *mitm.Mirror
	scanning  *scanning
	limits    wire.SendLimits
}

func newTable(c *wire.Pipelockd) (*table, error) {
	allow, err := newAllowlist(c.Allow)
	if err != nil {
		return nil, err
	}
	authority, err := certs.LoadAuthority(c.CA.Certificate, c.CA.Key)
	if err != nil {
		return nil, err
	}
	dialer, err := safedial.New(safedial.Options{Hosts: c.Hosts, AllowPrivate: c.AllowPrivate, CacheFor: nameMemory})
	if err != nil {
		return nil, err
	}
	roots, err := certs.UpstreamRoots(c.UpstreamCA...)
	if err != nil {
		return nil, err
	}
	scanning, err := newScanning(c)
	if err != nil {
		return nil, err
	}
	return &table{allow, authority, newTransport(dialer, roots), scanning, c.Limits}, nil
}

// nameMemory is how long an answer of DNS is used again. Every use is judged.
const nameMemory = 5 * time.Second

// allowlist is the compiled list of hosts that may be dialled.
type allowlist struct {
	hosts   *route.HostSet
	entries []wire.AllowHost
}

func newAllowlist(entries []wire.AllowHost) (*allowlist, error) {
	patterns := make([]string, len(entries))
	for i, e := range entries {
		patterns[i] = e.Host
	}
	hosts, err := route.NewHostSet(patterns)
	if err != nil {
		return nil, err
	}
	return &allowlist{hosts, slices.Clone(entries)}, nil
}

// Reload puts the table of a new configuration into force.
func (s *service) Reload(c *wire.Pipelockd) error {
	was := s.config
	if c.Listen != was.Listen || c.Audit != was.Audit || c.Bottle != was.Bottle || c.RelayKey != was.RelayKey || c.KillFile != was.KillFile || !sameDNS(c.DNS, was.DNS) {
		return errors.New("a reload changes allow, allow_private, hosts, upstream_ca, scan, known, limits and the CA only; restart pipelockd for another bottle, listen, dns, relay_key, kill_file or audit")
	}
	t, err := newTable(c)
	if err != nil {
		return err
	}
	s.table.Swap(t).transport.CloseIdleConnections()
	return nil
}
