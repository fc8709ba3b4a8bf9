package secretscan

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Runs of smaller alphabets are found as by looking at every byte.
func TestSubRuns(t *testing.T) {
	defer func(old []subAlphabet) { subs = old }(subs)
	subs = append([]subAlphabet(nil), subs...)
	var got map[string]bool
	for n := range subs {
		subs[n].decode = func(_ *job, v *view, start, end int) int {
			got[fmt.Sprint(n, start, end)] = true
			return len(v.b)
		}
	}
	rng := rand.New(rand.NewPCG(7, 8))
	digits := []string{"0189", "abcdef", "234567", "ghxyz", "GHXYZ", "ABCDEF", "+/_-"}
	for range 20000 {
		var b []byte
		for len(b) < 200 {
			from := rng.IntN(len(digits))
			for range rng.IntN(60) {
				d := digits[(from+rng.IntN(2))%len(digits)]
				b = append(b, d[rng.IntN(len(d))])
			}
		}
		got = map[string]bool{}
		(&job{}).subRuns(&view{b: b}, 0, len(b))
		want := 0
		for n, sub := range subs {
			for i := 0; i < len(b); {
				end := i
				for end < len(b) && sub.set[b[end]] {
					end++
				}
				if end-i >= minSub {
					if want++; !got[fmt.Sprint(n, i, end)] {
						t.Fatalf("%s: the run of alphabet %d from %d to %d is missed", b, n, i, end)
					}
				}
				i = end + 1
			}
		}
		if want != len(got) {
			t.Fatalf("%s: %d runs, not %d", b, len(got), want)
		}
	}
}

func TestAppendBase64(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for n := range 300 {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if got := appendBase64(nil, []byte(e.EncodeToString(want))); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %x, not %x", n, got, want)
			}
		}
	}
}

func TestFindZlib(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 200000 {
		b := make([]byte, rng.IntN(40))
		for i := range b {
			b[i] = "x^\x01\x9c\xda\x78wy\x00\xff\x79a"[rng.IntN(12)]
		}
		want := -1
		for i := 0; i+1 < len(b) && want < 0; i++ {
			if b[i] == 'x' && bytes.IndexByte([]byte("^\x01\x9c\xda"), b[i+1]) >= 0 {
				want = i
			}
		}
		if got := findZlib(b); got != want {
			t.Fatalf("%q: %d, not %d", b, got, want)
		}
	}
}

// A secret in binary data is found: as it stands, and in base64 of any length, at
// each phase, which is not left to chance.
func TestSecretsInBinaryData(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	token := "gh" + "p_" + r36
	heads := map[string]string{"png": "\x89PNG\r\n\x1a\n", "jpeg": "\xff\xd8\xff\xe0", "pdf": "%PDF-1.7\n", "zip": "PK\x03\x04", "noise": ""}
	spellings := map[string]string{
		"plain": token, "percent": strings.ReplaceAll(token, "_", "%5F"), "escapes": strings.ReplaceAll(token, "g", `\u0067`),
		"base64": " " + base64.StdEncoding.EncodeToString([]byte(token)) + " ", "hex": " " + hex.EncodeToString([]byte(token)) + " ",
		"look-alikes": " this is the key: " + strings.ReplaceAll(token, "a", "а") + " end of it, ",
	}
	for kind, head := range heads {
		for name, text := range spellings {
			for _, size := range []int{100, 3000, 70 << 10, 300 << 10} {
				for phase := range 3 {
					data := append([]byte(head), random(size+phase)...)
					data = append(append(append(data, "\n"...), text...), "\n"...)
					data = append(data, random(size)...)
					if _, found := Default.Find(data); !found {
						t.Errorf("%s, %s behind %d bytes: missed", kind, name, size)
					}
					if _, found := Default.Find([]byte(`{"data":"` + base64.StdEncoding.EncodeToString(data) + `"}`)); !found {
						t.Errorf("%s in base64, %s behind %d bytes, phase %d: missed", kind, name, size, phase)
					}
				}
			}
		}
	}
}
