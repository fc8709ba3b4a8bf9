// Package certs is the daemons' side of a bottle's PKI: it loads the
// intermediate that the launcher issued for a proxy, mints one leaf for each
// host from it, and loads the roots against which upstreams are verified.
//
// Leaves are ECDSA P-256 (one key for each process, made at start and never
// written), backdated by an hour for guests whose clock is behind, and valid
// for a day or as long as the intermediate, whichever ends first.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	backdate  = time.Hour
	lifetime  = 22 * time.Hour // with the backdating, less than a day
	renewAt   = time.Hour      // a leaf with less than this left is minted anew
	maxCached = 4096
)

// Authority mints leaf certificates under one intermediate. It is safe for
// concurrent use.
type Authority struct {
	issuer *x509.Certificate
	chain  [][]byte // DER, the issuer first
	signer crypto.Signer
	leaf   *ecdsa.PrivateKey
	now    func() time.Time

	mu    sync.Mutex
	cache map[string]*flight
}

// flight is one minting, waited for by everyone who asks meanwhile.
type flight struct {
	done chan struct{}
	cert *tls.Certificate
	err  error
}

// LoadAuthority reads an intermediate (followed by further certificates of its
// chain, without the root) and its private key from PEM files.
func LoadAuthority(certFile, keyFile string) (*Authority, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot load the signing certificate %s: %w", certFile, err)
	}
	issuer, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("cannot parse the signing certificate %s: %w", certFile, err)
	}
	if !issuer.IsCA || issuer.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("the certificate in %s may not sign others", certFile)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key in %s cannot sign", keyFile)
	}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a leaf key: %w", err)
	}
	return &Authority{
		issuer: issuer, chain: pair.Certificate, signer: signer, leaf: leaf,
		now: time.Now, cache: map[string]*flight{},
	}, nil
}

// Leaf returns the certificate for host, minting it at most once at a time.
// The host must be one that the proxy has agreed to serve: Leaf does not judge.
func (a *Authority) Leaf(host string) (*tls.Certificate, error) {
	a.mu.Lock()
	f, ok := a.cache[host]
	if ok && f.fresh(a.now()) {
		a.mu.Unlock()
		<-f.done
		return f.cert, f.err
	}
	if len(a.cache) >= maxCached { // only a wildcard route gets here
		clear(a.cache)
	}
	f = &flight{done: make(chan struct{})}
	a.cache[host] = f
	a.mu.Unlock()

	f.cert, f.err = a.mint(host)
	close(f.done)
	return f.cert, f.err
}

// fresh reports whether the flight is under way or its leaf is good for longer.
func (f *flight) fresh(now time.Time) bool {
	select {
	case <-f.done:
		return f.err == nil && now.Add(renewAt).Before(f.cert.Leaf.NotAfter)
	default:
		return true
	}
}

func (a *Authority) mint(host string) (*tls.Certificate, error) {
	now := a.now()
	if now.Add(renewAt).After(a.issuer.NotAfter) {
		return nil, fmt.Errorf("the signing certificate ends at %s; start a new bottle", a.issuer.NotAfter.Format(time.RFC3339))
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, fmt.Errorf("cannot make a serial number: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName(host)},
		DNSNames:     []string{host},
		NotBefore:    latest(now.Add(-backdate), a.issuer.NotBefore),
		NotAfter:     earliest(now.Add(lifetime), a.issuer.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.issuer, &a.leaf.PublicKey, a.signer)
	if err != nil {
		return nil, fmt.Errorf("cannot mint a certificate for %s: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot mint a certificate for %s: %w", host, err)
	}
	return &tls.Certificate{
		Certificate: append([][]byte{der}, a.chain...),
		PrivateKey:  a.leaf,
		Leaf:        leaf,
	}, nil
}

// commonName fits a host into the 64 bytes of RFC 5280's upper bound.
func commonName(host string) string {
	if len(host) > 64 {
		return ""
	}
	return host
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// LoadPool reads PEM files into a pool. A file without a certificate is an error.
func LoadPool(files ...string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	return pool, AddFiles(pool, files...)
}

// AddFiles adds the certificates of PEM files to a pool.
func AddFiles(pool *x509.CertPool, files ...string) error {
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("cannot read the trusted roots: %w", err)
		}
		certs, err := ParsePEM(data)
		if err != nil {
			return fmt.Errorf("the trusted roots in %s: %w", f, err)
		}
		for _, c := range certs {
			pool.AddCert(c)
		}
	}
	return nil
}

// ParsePEM returns the certificates in PEM data. It skips single certificates
// that this version of Go refuses to parse (system bundles hold such), and
// fails when none is left.
func ParsePEM(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no certificate found; expected PEM blocks of type CERTIFICATE")
	}
	return out, nil
}

// Fingerprint returns the SHA-256 of a certificate as upper-case hex pairs
// joined by colons, as browsers and openssl print it.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}
