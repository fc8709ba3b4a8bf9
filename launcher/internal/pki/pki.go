// Package pki issues the certificates of one bottle and collects the roots that
// its way out trusts.
//
// Each proxy has an authority of its own: an offline root, whose key stays on
// the host and is mounted nowhere, and one short-lived intermediate, whose key
// the proxy holds to mint leaves. The intermediate carries critical name
// constraints for the hosts that the bottle allows, so that a stolen key
// vouches for nothing else. The agent is given a root's certificate and nothing
// more. Certificates are made by the CA core of step-ca (cas/softcas).
package pki

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
)

const (
	rootLifetime = 365 * 24 * time.Hour
	lifetime     = 30 * 24 * time.Hour
	backdate     = time.Hour // for guests whose clock is behind
)

// Authority is the root and the intermediate of one proxy.
type Authority struct {
	Root    *x509.Certificate
	RootKey crypto.Signer
	// Cert is the intermediate.
	Cert *x509.Certificate
	Key  crypto.Signer
}

// nothing stands in the name constraints of a bottle that allows no host. An
// empty list would be no constraint at all.
const nothing = "bottle.invalid"

// Issue makes the authority of a proxy ("egress" or "pipelock") for a launch.
// Patterns are the hosts that it may vouch for.
func Issue(proxy, identity string, patterns []string) (*Authority, error) {
	cas, err := softcas.New(context.Background(), apiv1.Options{IsCreator: true})
	if err != nil {
		return nil, fmt.Errorf("cannot set up the certificate authority: %w", err)
	}
	root, err := cas.CreateCertificateAuthority(&apiv1.CreateCertificateAuthorityRequest{
		Type: apiv1.RootCA, Lifetime: rootLifetime, Backdate: backdate,
		Template: template("Bottle "+identity+" "+proxy+" root", 1),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot issue the %s root: %w", proxy, err)
	}
	inter, err := intermediate(cas, proxy, identity, root, patterns)
	if err != nil {
		return nil, err
	}
	return &Authority{Root: root.Certificate, RootKey: root.Signer, Cert: inter.Certificate, Key: inter.Signer}, nil
}

// Reissue makes another intermediate under the root of a launch, for other
// patterns and with a key of its own: the old key vouches for the old names only.
func Reissue(proxy, identity string, root *x509.Certificate, rootKey crypto.Signer, patterns []string) (*Authority, error) {
	cas, err := softcas.New(context.Background(), apiv1.Options{IsCreator: true})
	if err != nil {
		return nil, fmt.Errorf("cannot set up the certificate authority: %w", err)
	}
	parent := &apiv1.CreateCertificateAuthorityResponse{Certificate: root, PrivateKey: rootKey, Signer: rootKey}
	inter, err := intermediate(cas, proxy, identity, parent, patterns)
	if err != nil {
		return nil, err
	}
	return &Authority{Root: root, RootKey: rootKey, Cert: inter.Certificate, Key: inter.Signer}, nil
}

func intermediate(cas *softcas.SoftCAS, proxy, identity string, root *apiv1.CreateCertificateAuthorityResponse, patterns []string) (*apiv1.CreateCertificateAuthorityResponse, error) {
	t := template("Bottle "+identity+" "+proxy, 0)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.PermittedDNSDomainsCritical = true
	t.PermittedDNSDomains = constraints(patterns)
	t.ExcludedIPRanges = allAddresses()
	inter, err := cas.CreateCertificateAuthority(&apiv1.CreateCertificateAuthorityRequest{
		Type: apiv1.IntermediateCA, Lifetime: lifetime, Backdate: backdate, Template: t, Parent: root,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot issue the %s intermediate: %w", proxy, err)
	}
	return inter, nil
}

// SameNames reports whether two lists of patterns lead to the same name
// constraints.
func SameNames(a, b []string) bool { return slices.Equal(constraints(a), constraints(b)) }

// Load reads a certificate and its key, as [CertPEM] and [KeyPEM] write them.
func Load(certPEM, keyPEM []byte) (*x509.Certificate, crypto.Signer, error) {
	c, _ := pem.Decode(certPEM)
	k, _ := pem.Decode(keyPEM)
	if c == nil || k == nil {
		return nil, nil, errors.New("the root or its key is not PEM")
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the root: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the root's key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("the root's key cannot sign")
	}
	return cert, signer, nil
}

func template(name string, pathLen int) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true,
		MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0,
	}
}

// constraints turns host patterns into permitted DNS subtrees: a host into
// itself (the standard then takes the names below it, too), "*.suffix" into the
// suffix, ports left out.
func constraints(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		host, _, _ := strings.Cut(strings.TrimPrefix(p, "*."), ":")
		out = append(out, strings.ToLower(host))
	}
	if len(out) == 0 {
		return []string{nothing}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// allAddresses excludes every IP address, which constraints on DNS names alone
// would leave open.
func allAddresses() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}
}

// CertPEM encodes certificates.
func CertPEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// KeyPEM encodes a private key as PKCS #8.
func KeyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Fingerprint is the SHA-256 of a certificate, as openssl prints it.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}
