package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// systemStores are where operating systems keep their roots in one file; the
// first that exists counts.
var systemStores = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem", // openSUSE
	"/etc/ssl/cert.pem",      // macOS, BSD
}

// Trust is the roots against which a bottle's way out verifies upstreams,
// beside the public ones that pipelockd carries.
type Trust struct {
	Certs []*x509.Certificate
	// Sources say how many roots came from where.
	Sources []TrustSource
	seen    map[[32]byte]bool
}

// TrustSource is one file or directory of roots.
type TrustSource struct {
	Name  string // "SSL_CERT_FILE", "SSL_CERT_DIR", "system store" or "extra_ca"
	Path  string
	Count int
}

// CollectTrust reads the roots of the operator's machine: what SSL_CERT_FILE
// and SSL_CERT_DIR name, else the system's store. Many companies intercept TLS
// and put their root there.
func CollectTrust(getenv func(string) string) (*Trust, error) {
	t := &Trust{seen: map[[32]byte]bool{}}
	file, dirs := getenv("SSL_CERT_FILE"), getenv("SSL_CERT_DIR")
	if file != "" {
		if err := t.AddFile("SSL_CERT_FILE", file); err != nil {
			return nil, err
		}
	}
	for _, dir := range filepath.SplitList(dirs) {
		if err := t.addDir(dir); err != nil {
			return nil, err
		}
	}
	if file != "" || dirs != "" {
		return t, nil
	}
	for _, path := range systemStores {
		if _, err := os.Stat(path); err == nil {
			return t, t.AddFile("system store", path)
		}
	}
	return t, nil
}

// AddFile adds the roots of a PEM file.
func (t *Trust) AddFile(name, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the roots that %s names: %w", name, err)
	}
	certs, err := parseCerts(data)
	if err != nil {
		return fmt.Errorf("%s (%s): %w", path, name, err)
	}
	if len(certs) == 0 {
		return fmt.Errorf("%s (%s) holds no certificate in PEM form", path, name)
	}
	t.add(TrustSource{Name: name, Path: path}, certs)
	return nil
}

// addDir adds the roots of a directory as OpenSSL sees it: every file, links to
// the same certificate counted once, what is not a certificate left out.
func (t *Trust) addDir(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Go and OpenSSL skip a missing one of several, too
	}
	if err != nil {
		return fmt.Errorf("cannot read the roots that SSL_CERT_DIR names: %w", err)
	}
	var all []*x509.Certificate
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() || strings.HasSuffix(path, ".key") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if certs, err := parseCerts(data); err == nil {
			all = append(all, certs...)
		}
	}
	t.add(TrustSource{Name: "SSL_CERT_DIR", Path: dir}, all)
	return nil
}

func (t *Trust) add(src TrustSource, certs []*x509.Certificate) {
	for _, c := range certs {
		sum := sha256.Sum256(c.Raw)
		if !t.seen[sum] {
			t.seen[sum] = true
			t.Certs = append(t.Certs, c)
			src.Count++
		}
	}
	t.Sources = append(t.Sources, src)
}

// parseCerts reads the certificates of a PEM file and leaves out everything
// else, private keys above all.
func parseCerts(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			return certs, nil
		}
		if b.Type != "CERTIFICATE" && b.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			// Stores hold the odd certificate that Go refuses (negative
			// serial numbers); it could not be used to verify anyway.
			continue
		}
		certs = append(certs, c)
	}
}
