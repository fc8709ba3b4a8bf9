package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func issue(t *testing.T, patterns ...string) *Authority {
	t.Helper()
	a, err := Issue("egress", "demo-ab12z", patterns)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// leaf mints a certificate under the intermediate, as a thief of its key would.
func leaf(t *testing.T, a *Authority, names []string, ips []net.IP) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), DNSNames: names, IPAddresses: ips,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.Cert, key.Public(), a.Key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func verify(a *Authority, c *x509.Certificate) error {
	roots, inter := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Root)
	inter.AddCert(a.Cert)
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter})
	return err
}

func TestIntermediateVouchesForAllowedNamesOnly(t *testing.T) {
	a := issue(t, "api.example.com", "*.cdn.example.net", "odd.example.org:8443")
	for name, ok := range map[string]bool{
		"api.example.com": true, "x.cdn.example.net": true, "odd.example.org": true,
		"example.com": false, "evil.com": false, "notapi.example.com": false, "xcdn.example.net": false,
	} {
		if err := verify(a, leaf(t, a, []string{name}, nil)); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if verify(a, leaf(t, a, nil, []net.IP{net.IPv4(1, 1, 1, 1)})) == nil {
		t.Error("an IPv4 address was vouched for")
	}
	if verify(a, leaf(t, a, nil, []net.IP{net.ParseIP("2606::1")})) == nil {
		t.Error("an IPv6 address was vouched for")
	}
}

func TestIntermediateOfNothing(t *testing.T) {
	a := issue(t)
	if verify(a, leaf(t, a, []string{"example.com"}, nil)) == nil {
		t.Error("a bottle that allows nothing vouches for a name")
	}
}

func TestCertificateShape(t *testing.T) {
	a := issue(t, "a.example.com")
	now := time.Now()
	if !a.Root.IsCA || a.Root.MaxPathLen != 1 || a.Root.CheckSignatureFrom(a.Root) != nil {
		t.Errorf("root: CA %v, path length %d", a.Root.IsCA, a.Root.MaxPathLen)
	}
	c := a.Cert
	if !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero || c.CheckSignatureFrom(a.Root) != nil {
		t.Errorf("intermediate: CA %v, path length %d", c.IsCA, c.MaxPathLen)
	}
	if !c.PermittedDNSDomainsCritical {
		t.Error("the name constraints are not critical")
	}
	if age := now.Sub(c.NotBefore); age < 59*time.Minute || age > 61*time.Minute {
		t.Errorf("backdated by %s", age)
	}
	if left := c.NotAfter.Sub(now); left > 30*24*time.Hour || left < 29*24*time.Hour {
		t.Errorf("valid for %s", left)
	}
	if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("the key is %T", c.PublicKey)
	}
	if len(c.SubjectKeyId) == 0 || string(c.AuthorityKeyId) != string(a.Root.SubjectKeyId) {
		t.Error("the key identifiers do not chain")
	}
	if other := issue(t, "a.example.com"); verify(other, leaf(t, a, []string{"a.example.com"}, nil)) == nil {
		t.Error("one bottle's root believes another's intermediate")
	}
}

func TestSubjectHashLikeOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	for _, subject := range []pkix.Name{
		{CommonName: "Bottle demo-ab12z egress root"},
		{CommonName: "  Two   Spaces\tand TABS "},
		{CommonName: "Grüße ÄÖÜ", Organization: []string{"Acme, Inc."}, Country: []string{"DE"}},
		{CommonName: "a", OrganizationalUnit: []string{"y", "X"}},
		{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte("IA5 String")}}}},
		{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: asn1.TagBMPString, Bytes: []byte{0, 'B', 0, 'M', 0, ' ', 0, ' ', 0, 0xe9}}}}},
	} {
		c := selfSigned(t, subject)
		file := filepath.Join(t.TempDir(), "c.pem")
		if err := os.WriteFile(file, CertPEM(c), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(openssl, "x509", "-noout", "-hash", "-in", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got, err := SubjectHash(c)
		if err != nil || got != strings.TrimSpace(string(out)) {
			t.Errorf("%v: got %s, openssl says %s (%v)", subject, got, strings.TrimSpace(string(out)), err)
		}
	}
}

// knownHash is what openssl 3.0 prints, for machines without it.
const knownHash = "66376d3c"

func TestSubjectHashKnown(t *testing.T) {
	got, err := SubjectHash(selfSigned(t, pkix.Name{CommonName: "Bottle demo-ab12z egress root"}))
	if err != nil || got != knownHash {
		t.Errorf("got %s, %v", got, err)
	}
}

func selfSigned(t *testing.T, subject pkix.Name) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTrust(t *testing.T) {
	dir := t.TempDir()
	one, two := issue(t).Root, issue(t).Root
	key, err := KeyPEM(issue(t).Key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	file := write("one.pem", append(append([]byte("# a comment\n"), key...), CertPEM(one, one)...))
	certs := filepath.Join(dir, "certs")
	if err := os.Mkdir(certs, 0o700); err != nil {
		t.Fatal(err)
	}
	write("certs/two.crt", CertPEM(two))
	write("certs/README", []byte("no certificate"))
	empty := write("empty.pem", []byte("nothing"))

	env := map[string]string{"SSL_CERT_FILE": file, "SSL_CERT_DIR": certs + ":" + filepath.Join(dir, "missing")}
	get := func(k string) string { return env[k] }
	tr, err := CollectTrust(get)
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.Certs) != 2 || !tr.Certs[0].Equal(one) || !tr.Certs[1].Equal(two) {
		t.Errorf("got %d roots from %v", len(tr.Certs), tr.Sources)
	}
	if strings.Contains(string(CertPEM(tr.Certs...)), "PRIVATE") {
		t.Error("a private key went along")
	}
	if err := tr.AddFile("extra_ca", empty); err == nil {
		t.Error("a file without certificates was taken")
	}
	env["SSL_CERT_FILE"] = filepath.Join(dir, "nowhere")
	if _, err := CollectTrust(get); err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("got %v", err)
	}
}

// A new intermediate under the same root vouches for the new names and no others;
// what trusts the root notices no change.
func TestReissue(t *testing.T) {
	a := issue(t, "api.example.com")
	key, err := KeyPEM(a.RootKey)
	if err != nil {
		t.Fatal(err)
	}
	root, rootKey, err := Load(CertPEM(a.Root), key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Reissue("egress", "demo-ab12z", root, rootKey, []string{"new.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	b.Root = a.Root
	if err := verify(b, leaf(t, b, []string{"new.example.org"}, nil)); err != nil {
		t.Error(err)
	}
	if err := verify(b, leaf(t, b, []string{"api.example.com"}, nil)); err == nil {
		t.Error("the new intermediate vouches for an old name")
	}
	if a.Cert.SerialNumber.Cmp(b.Cert.SerialNumber) == 0 || a.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(b.Key.Public()) {
		t.Error("the key or the serial number is the old one")
	}
}
