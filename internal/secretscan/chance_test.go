package secretscan

import (
	"encoding/base64"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
)

// noise is n bytes of random base64url.
func noise(n int) string {
	rng := rand.New(rand.NewPCG(8, 9))
	raw := make([]byte, n)
	for i := range raw {
		raw[i] = byte(rng.Uint32())
	}
	return base64.RawURLEncoding.EncodeToString(raw)[:n]
}

// A short literal is chance in the middle of a long run of base64 only: not near
// its ends, not in padding, and not in a field, which is no file.
func TestChance(t *testing.T) {
	four, three := "gh"+"p_"+r36, "h"+"f_"+r36
	long := noise(4000)
	for _, tt := range []struct {
		name, text   string
		body, fields bool
	}{
		{"four bytes in a file", long + four + long, false, true},
		{"three bytes in a file", long + three + long, false, false},
		{"at the end of a file", long + four, true, true},
		{"at the beginning of a file", four + long, true, true},
		{"in 800 bytes", long[:400] + four + long[:400], true, true},
		{"in filler", strings.Repeat("a", 4000) + four + strings.Repeat("B", 4000), true, true},
		{"in a signature", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0." + long[:150] + three + long[:150], false, false},
		{"in 200 bytes", long[:100] + three + long[:100], true, true},
		{"a long literal", long + "github" + "_pat_" + r36 + r36 + long, true, true},
	} {
		if _, ok := Default.Find([]byte(tt.text)); ok != tt.body {
			t.Errorf("%s: in a body found %v", tt.name, ok)
		}
		if _, ok := Field.Find([]byte(tt.text)); ok != tt.fields {
			t.Errorf("%s: in a field found %v", tt.name, ok)
		}
	}
}

// A token that proves itself is found in any surroundings.
func TestStrongTokens(t *testing.T) {
	long := noise(4000)
	sum := func(first byte) string {
		digits := make([]byte, 6)
		n := crc32.ChecksumIEEE([]byte(r36[:30]))
		for i := 5; i >= 0; i-- {
			digits[i], n = base62(n%62, first), n/62
		}
		return r36[:30] + string(digits)
	}
	for _, s := range []string{
		"gh" + "p_" + sum('A'), "np" + "m_" + sum('a'), "AIz" + "aSy" + r36[:33], "sk-" + r22[:20] + "T3BlbkFJ" + r22[:20],
		"h" + "f_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
	} {
		if _, ok := Default.Find([]byte(long + s + long)); !ok {
			t.Errorf("%.4s… is missed", s)
		}
	}
}

// Encoded blobs of a few kibibytes, such as conversations carry by the dozen,
// are not secrets. A found one is a broken conversation.
func TestBlobsAreClean(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 11))
	raw := make([]byte, 1500)
	found := 0
	for range 10000 {
		for i := range raw {
			raw[i] = byte(rng.Uint32())
		}
		if _, ok := Default.Find([]byte(`{"encrypted_content":"` + base64.URLEncoding.EncodeToString(raw) + `"}`)); ok {
			found++
		}
	}
	if found > 1 {
		t.Errorf("%d of 10000 blobs look like secrets", found)
	}
}

// A candidate that cannot be decided yet does not make each byte that follows
// cost as much as all that are held.
func TestHeldBytesAreNotJudgedAgainAndAgain(t *testing.T) {
	checks := 0
	s := New([]Rule{{Name: "x", Literals: []string{"key: "}, Check: func(c Candidate) Verdict {
		checks++
		if len(c.Data) < c.Start+MaxReach {
			return c.ranOut()
		}
		return No
	}}})
	w := s.NewWindow()
	text := strings.Repeat("key: ", 2000)
	for i := range len(text) {
		w.Write([]byte(text[i : i+1]))
		if _, found := w.Clean(false); found != nil {
			t.Fatal(found)
		}
	}
	if checks > 10*len(text) {
		t.Errorf("%d checks for %d bytes", checks, len(text))
	}
}
