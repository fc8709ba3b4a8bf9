package certs

import (
	"crypto/x509"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

func authority(t testing.TB) (*Authority, *testkit.CA) {
	t.Helper()
	ca := testkit.NewCA(t, "test")
	a, err := LoadAuthority(ca.Write(t, t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return a, ca
}

func TestLeafVerifiesForItsHostOnly(t *testing.T) {
	a, ca := authority(t)
	for _, host := range []string{"api.example", strings.Repeat("a.", 60) + "example"} {
		c, err := a.Leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: host}); err != nil {
			t.Error(err)
		}
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: "x." + host}); err == nil {
			t.Error("the leaf is good for a name below its host")
		}
		if d := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore); d > 24*time.Hour || c.Leaf.NotBefore.After(time.Now().Add(-50*time.Minute)) {
			t.Errorf("valid from %s to %s", c.Leaf.NotBefore, c.Leaf.NotAfter)
		}
	}
}

func TestLeafIsMintedOnceAndRenewed(t *testing.T) {
	a, _ := authority(t)
	var wg sync.WaitGroup
	serials := make([]string, 32)
	for i := range serials {
		wg.Go(func() {
			if c, err := a.Leaf("api.example"); err == nil {
				serials[i] = c.Leaf.SerialNumber.String()
			}
		})
	}
	wg.Wait()
	for _, s := range serials {
		if s == "" || s != serials[0] {
			t.Fatalf("minted more than once: %v", serials)
		}
	}
	a.now = func() time.Time { return time.Now().Add(22 * time.Hour) }
	c, err := a.Leaf("api.example")
	if err != nil || c.Leaf.SerialNumber.String() == serials[0] {
		t.Errorf("an old leaf was not renewed: %v", err)
	}
	a.now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	if _, err := a.Leaf("api.example"); err == nil {
		t.Error("minted after the issuer's end")
	}
}

func TestLoadAuthorityRefusesALeaf(t *testing.T) {
	ca := testkit.NewCA(t, "test")
	ca.Cert.Raw = ca.Leaf(t, "a.example").Certificate[0]
	if _, err := LoadAuthority(ca.Write(t, t.TempDir(), "leaf")); err == nil {
		t.Error("a leaf was taken as an authority")
	}
}

func BenchmarkMint(b *testing.B) {
	a, _ := authority(b)
	for b.Loop() {
		if _, err := a.mint("api.example"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	a, _ := authority(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Leaf("api.example"); err != nil {
			b.Fatal(err)
		}
	}
}
