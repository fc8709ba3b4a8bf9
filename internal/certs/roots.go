package certs

import (
	"crypto/x509"
	"fmt"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// UpstreamRoots returns the public roots that this build carries, for images
// without a trust store, and those of PEM files.
func UpstreamRoots(files ...string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		c, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, fmt.Errorf("the built-in public roots: %w", err)
		}
		if root.Constraint != nil {
			pool.AddCertWithConstraint(c, root.Constraint)
		} else {
			pool.AddCert(c)
		}
	}
	return pool, AddFiles(pool, files...)
}
