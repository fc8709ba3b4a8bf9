package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/secretscan"
	"github.com/bottlesuite/bottle/internal/wire"
)

// scanning is what a table says about secrets: how they are found and what
// becomes of them.
type scanning struct {
	bodies, fields *secretscan.Scanner
	actions        []action
	seeds          bool
	known          bool
}

// action is a compiled entry of scan.actions.
type action struct {
	rules  []string
	hosts  *route.HostSet // nil = all
	action secretscan.Action
}

func newScanning(c *wire.Pipelockd) (*scanning, error) {
	s := &scanning{bodies: secretscan.Default, fields: secretscan.Field, seeds: c.Scan.SeedPhrases == nil || *c.Scan.SeedPhrases}
	for i, a := range c.Scan.Actions {
		compiled, err := newAction(a)
		if err != nil {
			return nil, fmt.Errorf("scan.actions[%d]: %w", i, err)
		}
		s.actions = append(s.actions, compiled)
	}
	if c.Known != nil {
		k, err := loadKnown(c.Known)
		if err != nil {
			return nil, err
		}
		s.known = k != nil
		s.bodies = s.bodies.WithKnown(k)
		s.fields = s.bodies.ForFields()
	}
	return s, nil
}

func newAction(a wire.ScanAction) (action, error) {
	out := action{rules: a.Rules}
	var ok bool
	if out.action, ok = secretscan.ParseAction(a.Action); !ok {
		return out, fmt.Errorf("the action %q is none of block, redact, warn and ignore", a.Action)
	}
	for _, r := range a.Rules {
		if !secretscan.RuleExists(r) {
			return out, fmt.Errorf("no rule is called %q; `pipelockd rules` lists them", r)
		}
	}
	if len(a.Hosts) > 0 {
		var err error
		if out.hosts, err = route.NewHostSet(a.Hosts); err != nil {
			return out, err
		}
	}
	return out, nil
}

// fits reports whether a rule is one of the names, or begins like one that ends
// in a star.
func fits(names []string, rule string) bool {
	for _, n := range names {
		if prefix, ok := strings.CutSuffix(n, "*"); n == rule || ok && strings.HasPrefix(rule, prefix) {
			return true
		}
	}
	return len(names) == 0
}

// policy decides what becomes of a finding on the way to an exchange's host.
// Canaries and known values are blocked whatever the actions say of all rules.
func (x *exchange) policy(rule string) secretscan.Action {
	s := x.table.scanning
	if rule == secretscan.SeedPhrase && !s.seedsOn(x) {
		return secretscan.Ignore
	}
	for _, a := range s.actions {
		if !fits(a.rules, rule) || len(a.rules) == 0 && isKnown(rule) {
			continue
		}
		if a.hosts != nil {
			if _, ok := a.hosts.Find(x.host, x.port); !ok {
				continue
			}
		}
		return a.action
	}
	return secretscan.DefaultAction(rule)
}

// strict is policy where nothing can be rewritten: what would be redacted is
// blocked.
func (x *exchange) strict(rule string) secretscan.Action {
	if a := x.policy(rule); a != secretscan.Redact {
		return a
	}
	return secretscan.Block
}

func isKnown(rule string) bool {
	return rule == string(secretscan.KnownSecret) || rule == string(secretscan.Canary)
}

// seedsOn says whether seed phrases are looked for: by the host's own entry, else
// on every host but those of model APIs, where people talk about words.
func (s *scanning) seedsOn(x *exchange) bool {
	if x.allowed != nil && x.allowed.SeedPhrases != nil {
		return *x.allowed.SeedPhrases
	}
	return s.seeds && !wire.IsModelHost(x.host)
}

// options are those of a scan of this exchange.
func (x *exchange) options(rewrite bool, where string) secretscan.Options {
	o := secretscan.Options{Policy: x.strict, Sightings: x.sightings, Note: func(f secretscan.Finding) { x.note(f, where) }}
	if rewrite {
		o.Policy = x.policy
	}
	return o
}

// note remembers a finding that did not stop the request, for its audit line.
func (x *exchange) note(f secretscan.Finding, where string) {
	what := f.Rule + " in " + where
	if x.policy(f.Rule) == secretscan.Redact {
		what = "redacted " + what
	} else {
		what = "passed " + what
	}
	x.noted.mu.Lock()
	defer x.noted.mu.Unlock()
	x.noted.redacted = x.noted.redacted || strings.HasPrefix(what, "redacted")
	if len(x.noted.what) < maxNotes && !strings.Contains(strings.Join(x.noted.what, ";"), what) {
		x.noted.what = append(x.noted.what, what)
	}
}

// maxNotes bounds what one line of the audit says of findings.
const maxNotes = 8

// notes are the findings that did not stop a request.
type notes struct {
	mu       sync.Mutex
	what     []string
	redacted bool
}

// loadKnown reads fingerprints and their key.
func loadKnown(k *wire.KnownFiles) (*secretscan.Known, error) {
	text, err := os.ReadFile(k.Key)
	if err != nil {
		return nil, fmt.Errorf("known.key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("known.key: %s does not hold 64 hexadecimal digits", k.Key)
	}
	var file wire.Known
	if err := wire.LoadFile(k.Fingerprints, &file); err != nil {
		return nil, fmt.Errorf("known.fingerprints: %w", err)
	}
	if file.Version != wire.Version {
		return nil, fmt.Errorf("known.fingerprints: %s has version %d, not %d", k.Fingerprints, file.Version, wire.Version)
	}
	var prints []secretscan.Fingerprint
	for _, v := range file.Values {
		f := secretscan.Fingerprint{Name: v.Name, Kind: secretscan.KnownKind(v.Kind)}
		if !isKnown(v.Kind) || len(v.Pieces) == 0 || len(v.Pieces)%16 != 0 || len(v.Pieces) > 16*secretscan.MaxKnown {
			return nil, fmt.Errorf("known.fingerprints: the entry %q in %s is not a fingerprint", v.Name, k.Fingerprints)
		}
		for i := 0; i < len(v.Pieces); i += 16 {
			h, err := strconv.ParseUint(v.Pieces[i:i+16], 16, 64)
			if err != nil {
				return nil, fmt.Errorf("known.fingerprints: the entry %q in %s holds something else than hexadecimal digits", v.Name, k.Fingerprints)
			}
			f.Pieces = append(f.Pieces, h)
		}
		prints = append(prints, f)
	}
	return secretscan.NewKnown(secretscan.NewKey(key), prints), nil
}

// Bounds of what is remembered of known values that leave in parts.
const (
	memory   = 10 * time.Minute
	maxHosts = 256
)

// sightings remembers, by host, which pieces of known values have gone there.
type sightings struct {
	mu    sync.Mutex
	hosts map[string]*remembered
}

type remembered struct {
	*secretscan.Sightings
	until time.Time
}

// of returns the memory of a host.
func (s *sightings) of(host string) *secretscan.Sightings {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.hosts == nil {
		s.hosts = map[string]*remembered{}
	}
	r := s.hosts[host]
	if r == nil || now.After(r.until) {
		if len(s.hosts) >= maxHosts {
			s.forget(now)
		}
		r = &remembered{Sightings: new(secretscan.Sightings), until: now.Add(memory)}
		s.hosts[host] = r
	}
	return r.Sightings
}

// forget makes room: for what is over, else for the one that is over next.
func (s *sightings) forget(now time.Time) {
	oldest := ""
	for h, r := range s.hosts {
		if now.After(r.until) {
			delete(s.hosts, h)
		} else if oldest == "" || r.until.Before(s.hosts[oldest].until) {
			oldest = h
		}
	}
	if len(s.hosts) >= maxHosts {
		delete(s.hosts, oldest)
	}
}
