package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/safedial"
)

// newTransport builds the way out: judged addresses, verified certificates, no
// proxy of the environment, connections pooled.
func newTransport(d *safedial.Dialer, roots *x509.CertPool) *mitm.Mirror {
	return mitm.NewMirror(&http.Transport{
		Proxy:                  nil,
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(256)},
		TLSHandshakeTimeout:    15 * time.Second,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    128,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // bodies pass as they are
		MaxResponseHeaderBytes: 256 << 10,
	})
}

// classify turns an error on the way to the upstream into a decision.
func classify(err error, rule string) policy.Decision {
	var address *safedial.AddressError
	var untrusted *tls.CertificateVerificationError
	var l *leak
	switch {
	case errors.As(err, &l), errors.Is(err, errUnscannable), errors.Is(err, errBudget):
		return *bodyDenial(err)
	case errors.As(err, &address):
		return policy.Denied(policy.ReasonAddressForbidden, rule, "The name leads to a "+string(address.Class)+" address, which may not be dialled.")
	case errors.As(err, &untrusted):
		return policy.Denied(policy.ReasonUpstreamUntrusted, rule, "The upstream's certificate does not verify: "+reasonOf(untrusted)+".")
	case errors.Is(err, context.Canceled):
		return policy.Denied(policy.ReasonUpstreamUnreachable, rule, "The client went away before the upstream answered.")
	}
	var resolve *safedial.ResolveError
	if errors.As(err, &resolve) {
		return policy.Denied(policy.ReasonUpstreamUnreachable, rule, "The upstream's name could not be resolved.")
	}
	return policy.Denied(policy.ReasonUpstreamUnreachable, rule, "The upstream did not answer.")
}

// reasonOf names the fault of a certificate without quoting what the upstream
// wrote into it.
func reasonOf(err error) string {
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "its issuer is not trusted"
	case errors.As(err, &hostname):
		return "it is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired or is not valid yet"
	}
	return "it is not valid for this use"
}
