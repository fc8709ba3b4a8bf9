package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/bottlesuite/bottle/egressd/internal/scrub"
	"github.com/bottlesuite/bottle/internal/certs"
	"github.com/bottlesuite/bottle/internal/own"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/safedial"
	"github.com/bottlesuite/bottle/internal/wire"
)

// newTransport builds the outbound leg: through pipelockd when one is configured,
// else directly, to addresses that are judged after resolving. Connections are
// pooled, and proxy variables of the environment are never read.
func newTransport(u wire.Upstream) (*http.Transport, error) {
	roots, err := upstreamRoots(u)
	if err != nil {
		return nil, err
	}
	dial := (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	if u.Proxy == "" { // nobody behind egressd judges addresses
		guard, err := safedial.New(safedial.Options{Hosts: u.Hosts, AllowPrivate: u.AllowPrivate})
		if err != nil {
			return nil, err
		}
		dial = guard.DialContext
	}
	t := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(256)},
		TLSHandshakeTimeout:    15 * time.Second,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    128,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true, // bodies pass as they are
		MaxResponseHeaderBytes: 256 << 10,
		OnProxyConnectResponse: connectRefused,
	}
	return t, throughProxy(t, u.Proxy)
}

// throughProxy has a transport ask pipelockd, at a socket or a port, if there is one.
func throughProxy(t *http.Transport, proxy string) error {
	if proxy == "" {
		return nil
	}
	socket, ok, err := wire.SocketPath(proxy)
	if err != nil {
		return fmt.Errorf("upstream.proxy: %w", err)
	}
	if ok {
		dial := t.DialContext
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, "unix", socket) }
		proxy = "http://pipelock:8888" // never looked up: every connection is one to the socket
	}
	u, err := url.Parse(proxy)
	if err != nil {
		return fmt.Errorf("upstream.proxy: %w", err)
	}
	t.Proxy = http.ProxyURL(u)
	return nil
}

// upstreamRoots are pipelockd's root alone, or without pipelockd the public
// roots and those of upstream.ca.
func upstreamRoots(u wire.Upstream) (*x509.CertPool, error) {
	if u.Proxy != "" {
		return certs.LoadPool(u.CA)
	}
	if u.CA != "" {
		return certs.UpstreamRoots(u.CA)
	}
	return certs.UpstreamRoots()
}

// refusedError is pipelockd's refusal of a tunnel.
type refusedError struct{ reason policy.Reason }

func (e *refusedError) Error() string { return "pipelockd refused the tunnel: " + string(e.reason) }

// connectRefused turns pipelockd's answer to a CONNECT into an error that keeps
// its reason.
func connectRefused(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	for _, known := range policy.Reasons {
		if string(known.Reason) == resp.Header.Get(wire.DenyHeader) {
			return &refusedError{known.Reason}
		}
	}
	return &refusedError{policy.ReasonUpstreamUnreachable}
}

// classify turns a transport error into the exchange's failure.
func (x *exchange) classify(err error, clientGone bool) {
	var refused *refusedError
	var tooLarge *http.MaxBytesError
	var untrusted *tls.CertificateVerificationError
	var encoding *scrub.ErrEncoding
	var address *safedial.AddressError
	var next *net.OpError
	switch {
	case errors.As(err, &address):
		x.fail(policy.ReasonAddressForbidden, "The name leads to a "+string(address.Class)+" address, which may not be dialled.")
	case errors.As(err, &refused):
		x.fail(refused.reason, "The next proxy, pipelockd, refused the tunnel.")
	case errors.As(err, &tooLarge):
		x.fail(policy.ReasonBodyTooLarge, "The body is larger than the route's limit.")
	case errors.Is(err, own.ErrPlaceholder):
		x.fail(policy.ReasonPlaceholderMisplaced, "A placeholder stands in the body. It is replaced only in the field of the route that its token belongs to; a route whose bodies quote the environment says so with body_placeholders.")
	case errors.As(err, &untrusted):
		x.fail(policy.ReasonUpstreamUntrusted, "The upstream's certificate does not verify against the trusted roots.")
	case errors.As(err, &encoding):
		x.fail(policy.ReasonUnscannable, "The upstream's answer is encoded in a way that cannot be checked for the credential.")
	case errors.As(err, &next) && next.Op == "dial" && next.Net == "unix":
		x.fail(policy.ReasonUpstreamUnreachable, "The next proxy, pipelockd, does not answer at its socket.")
	case clientGone:
		x.fail(policy.ReasonUpstreamUnreachable, "The client went away before the upstream answered.")
	case x.body.Broken():
		x.fail(policy.ReasonBadRequest, "The body broke HTTP or did not arrive whole.")
	default:
		x.fail(policy.ReasonUpstreamUnreachable, "The upstream did not answer.")
	}
}
