package secretscan

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// Bounds of what a buffer of n bytes may cost beyond a look at each of its bytes,
// in bytes that are looked at: what decoders put out, words that are checked, and
// tries at decompression. Decompressed bytes are bounded by a ratio of their own.
const (
	stepsEach = workRatio + 64
	stepsFree = freeWork + 1<<20
)

// costly are short texts that make a scan do as much as they can.
func costly(n int) map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, n)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	twice := []byte(base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(random))))[:n]
	all := map[string][]byte{"base64 twice": twice, "base64 of hex": []byte(base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(random))))[:n]}
	for _, s := range []string{
		"%25", "%41", `\u0041`, `\`, `\\u`, "&#65;", "&", "65,", "0x41,", "41:", "1 ", ",", "4141", "ABCDEF234567", "aB1", "\x00", "a\x00",
		"\x1f\x8b\x08", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x00\xff\xff\x00\x00", "\x78\x9c", "\x78\x01\x00\x04\x00\xfb\xff", "\x28\xb5\x2f\xfd",
		"ａ", "а", "\u200b", "abandon ", "legal winner thank year wave sausage worth useful zoo ", "-----BEGIN RSA PRIVATE KEY-----\n", "card 4",
		"eyJ", "AKIA", "xprv", "5H5J5K", "credential=" + "AKI" + "AQWERTYUIOP234567 ", "cloudflare_key=",
	} {
		all[s] = []byte(strings.Repeat(s, n/len(s)+1)[:n])
	}
	for _, run := range []int{16, 24, 27, 76} {
		for _, sep := range []string{" ", "\n", `\n`} {
			var b []byte
			for i := 0; len(b) < n; i = (i + run) % (len(twice) - run) {
				b = append(append(b, twice[i:i+run]...), sep...)
			}
			all["lines"+sep+string(rune('0'+run))] = b[:n]
		}
	}
	return all
}

// bounded fails if a scan did more than its share.
func bounded(t *testing.T, s *Scanner, name string, b []byte, list bool) {
	t.Helper()
	j := s.job(b, 0, true)
	defer s.free(j)
	j.all = list
	j.run()
	if most := stepsEach*len(b) + stepsFree + unpackedWork*j.unpacked; j.steps > most {
		t.Errorf("%q: %d steps for %d bytes", name, j.steps, len(b))
	}
	if most := freeUnpacked + maxRatio*len(b) + piece + overlap; j.unpacked > most && !list {
		t.Errorf("%q: %d bytes were unpacked from %d", name, j.unpacked, len(b))
	}
	if len(j.list) > maxRedacted+1 {
		t.Errorf("%q: %d findings", name, len(j.list))
	}
}

func TestWorkIsBounded(t *testing.T) {
	for name, b := range costly(32 << 10) {
		bounded(t, Default, name, b, false)
		bounded(t, Default, name, b, true)
	}
}

// A few bytes that unpack to much do not do so again and again: not in one buffer,
// and not in the pieces of a stream.
func TestUnpackingIsBounded(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := w.Write(make([]byte, 6<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if f, found := Default.Find(bomb.Bytes()); found {
		t.Fatalf("one file is refused: %v", f)
	}
	if f, found := Default.Find(bytes.Repeat(bomb.Bytes(), 8)); !found || f.Rule != TooDeep {
		t.Errorf("eight in a row: %v %v", found, f)
	}
	stream := Default.NewWindow()
	for n := 0; ; n++ {
		stream.Write(bomb.Bytes())
		if _, found := stream.Clean(false); found != nil {
			break
		}
		if n == 8 {
			t.Fatal("a stream unpacks without end")
		}
	}
}

// Lists of short tokens that mean nothing are no excess.
func TestListsOfHashesAreClean(t *testing.T) {
	for name, b := range costly(256 << 10) {
		if !strings.HasPrefix(name, "lines") {
			continue
		}
		if f, found := Default.Find(b); found {
			t.Errorf("%q: %v", name, f)
		}
	}
}

// A phrase behind a long row of words of its list is found.
func TestSeedPhraseBehindWords(t *testing.T) {
	phrase := "legal winner thank year wave sausage worth useful legal winner thank yellow"
	for _, n := range []int{0, 5, 97, 98, 120, 1000} {
		text := strings.Repeat("zoo able ", n) + phrase + strings.Repeat(" able zoo", 200)
		if f, found := Default.Find([]byte(text)); !found || f.Rule != SeedPhrase {
			t.Errorf("behind %d words: %v %v", 2*n, found, f)
		}
	}
}
