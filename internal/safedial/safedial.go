// Package safedial connects to names without letting DNS choose the network.
//
// A proxy that checks a name and then lets the system dial it has checked
// nothing: the name may resolve to the machine's own loopback, to the cloud's
// metadata service or to the company's database, and may resolve differently a
// moment later. A [Dialer] resolves a name once, judges every address of the
// answer with [Classify], refuses the whole name if one address is not public,
// and then dials one of exactly the addresses that it judged.
//
// Two settings of the operator widen this: pins (a name's address, in place of
// DNS; it is judged like an answer) and allow_private (names and networks that
// may be private).
package safedial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Resolver looks a name up. A *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a [Dialer].
type Options struct {
	// Hosts pins names to addresses.
	Hosts map[string]string
	// AllowPrivate lists names ("name" or "*.suffix") and CIDRs.
	AllowPrivate []string
	// Resolver is the system's, if nil.
	Resolver Resolver
	// ResolveTimeout bounds one lookup; 5 s if zero.
	ResolveTimeout time.Duration
	// ConnectTimeout bounds one attempt at one address; 10 s if zero.
	ConnectTimeout time.Duration
	// FallbackDelay is how long an attempt may be silent before the next
	// address is tried beside it; 300 ms if zero.
	FallbackDelay time.Duration
	// CacheFor is how long an answer of the resolver is used again; not at all
	// if zero. What is used again is judged again.
	CacheFor time.Duration
}

// Dialer resolves, judges and dials. It is safe for concurrent use.
type Dialer struct {
	cache    cache
	pins     map[string]netip.Addr
	private  exceptions
	resolver Resolver
	opt      Options
	dial     func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// AddressError says that a name led to an address that must not be dialled.
type AddressError struct {
	Host  string
	Addr  netip.Addr
	Class Class
}

func (e *AddressError) Error() string {
	if !e.Addr.IsValid() {
		return fmt.Sprintf("%s is not a host name that can be dialled (%s)", e.Host, e.Class)
	}
	return fmt.Sprintf("%s leads to %s, a %s address; add it to allow_private if that is meant", e.Host, e.Addr, e.Class)
}

// ResolveError says that a name has no usable answer.
type ResolveError struct {
	Host string
	Err  error
}

func (e *ResolveError) Error() string { return fmt.Sprintf("resolve %s: %v", e.Host, e.Err) }

// Unwrap returns the resolver's error.
func (e *ResolveError) Unwrap() error { return e.Err }

// New checks the options and returns a Dialer.
func New(opt Options) (*Dialer, error) {
	d := &Dialer{pins: make(map[string]netip.Addr, len(opt.Hosts)), opt: opt, resolver: opt.Resolver}
	for name, address := range opt.Hosts {
		addr, err := netip.ParseAddr(address)
		if err != nil {
			return nil, fmt.Errorf("hosts: %q is pinned to %q, which is not an IP address", name, address)
		}
		d.pins[strings.ToLower(name)] = addr
	}
	var err error
	if d.private, err = parseExceptions(opt.AllowPrivate); err != nil {
		return nil, err
	}
	if d.resolver == nil {
		d.resolver = system{}
	}
	setDefault(&d.opt.ResolveTimeout, 5*time.Second)
	setDefault(&d.opt.ConnectTimeout, 10*time.Second)
	setDefault(&d.opt.FallbackDelay, 300*time.Millisecond)
	nd := &net.Dialer{Timeout: d.opt.ConnectTimeout, KeepAlive: 30 * time.Second}
	d.dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		return nd.DialContext(ctx, "tcp", addr.String())
	}
	return d, nil
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// system is Go's own resolver. The name is made absolute, so that a search
// domain of the host cannot turn it into another one.
type system struct{}

func (system) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	r := net.Resolver{PreferGo: true}
	return r.LookupNetIP(ctx, network, host+".")
}

// Resolve returns the addresses of host, all of them judged and fit to be
// dialled. One forbidden address refuses the name with an [*AddressError].
func (d *Dialer) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	host = strings.ToLower(host)
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
		if c := Classify(a); c != Public && !d.private.allow(host, addrs[i], c) {
			return nil, &AddressError{Host: host, Addr: a, Class: c}
		}
	}
	return addrs, nil
}

func (d *Dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, ok := d.pins[host]; ok {
		return []netip.Addr{addr}, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	if numeric(host) {
		return nil, &AddressError{Host: host, Class: Invalid}
	}
	if addrs := d.cache.get(host); addrs != nil {
		return addrs, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.opt.ResolveTimeout)
	defer cancel()
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("the answer holds no address")
	}
	if err != nil {
		return nil, &ResolveError{Host: host, Err: err}
	}
	d.cache.put(host, addrs, d.opt.CacheFor)
	return addrs, nil
}

// numeric reports whether some resolver could read host as an IPv4 address in
// an old spelling (2130706433, 0x7f.1, 127.1): its last label starts with a
// digit, which no top-level domain does.
func numeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last == "" || last[0] >= '0' && last[0] <= '9'
}

// DialContext connects to "host:port". It has the signature that
// [net/http.Transport] wants.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, fmt.Errorf("dial %s: network %q is not offered", address, network)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	port, err := net.LookupPort("tcp", portText)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	addrs, err := d.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	return d.race(ctx, addrs[:min(len(addrs), maxAttempts)], uint16(port))
}

// maxAttempts bounds how many addresses of one answer are tried.
const maxAttempts = 8

type attempt struct {
	conn net.Conn
	err  error
}

// race tries the addresses in order. The next one starts when the one before
// failed or has been silent for FallbackDelay; the first connection wins.
func (d *Dialer) race(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan attempt, len(addrs))
	next, pending := 0, 0
	start := func() {
		target := netip.AddrPortFrom(addrs[next], port)
		next, pending = next+1, pending+1
		go func() {
			c, err := d.dial(ctx, target)
			results <- attempt{c, err}
		}()
	}
	// Losers are closed when they report; cancel makes that soon.
	defer func() { cancel(); go drain(results, pending) }()
	start()
	timer := time.NewTicker(d.opt.FallbackDelay)
	defer timer.Stop()
	var errs []error
	for {
		select {
		case r := <-results:
			pending--
			if r.err == nil {
				return r.conn, nil
			}
			errs = append(errs, r.err)
			if next < len(addrs) {
				start()
			} else if pending == 0 {
				return nil, errors.Join(errs...)
			}
		case <-timer.C:
			if next < len(addrs) {
				start()
			}
		}
	}
}

func drain(results <-chan attempt, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			_ = r.conn.Close() // it lost the race and was never used
		}
	}
}
