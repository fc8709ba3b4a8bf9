package secretscan

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Every literal is met, in any case that it can have, wherever it stands.
func TestPrefilterMissesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range []*Scanner{Default, ForGit()} {
		for n, l := range s.literal {
			for at := range 40 {
				b := make([]byte, at+len(l.text)+int(rng.Uint32()%20))
				for i := range b {
					b[i] = byte(rng.Uint32())
				}
				text := l.text
				if l.fold && at%2 == 0 {
					text = strings.ToUpper(text)
				}
				copy(b[at:], text)
				if !meets(s, b, at+l.anchor, uint16(n)) {
					t.Fatalf("%q is missed at %d of %d", text, at, len(b))
				}
			}
		}
	}
}

func meets(s *Scanner, b []byte, at int, literal uint16) bool {
	for i := s.filter.next(b, 0); i >= 0 && i <= at; i = s.filter.next(b, i+1) {
		if i == at && slices.Contains(s.filter.at(b[i], b[i+1]), literal) {
			return true
		}
	}
	return false
}

func TestBase58(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 51, 52, 111} {
		for range 200 {
			digits := make([]byte, n)
			want := new(big.Int)
			for i := range digits {
				d := rng.IntN(58)
				digits[i] = base58Digits[d]
				want.Add(want.Mul(want, big.NewInt(58)), big.NewInt(int64(d)))
			}
			var number [maxBase58]byte
			if got := fromBase58(&number, digits); !bytes.Equal(got, want.Bytes()) {
				t.Fatalf("%s: %x, not %x", digits, got, want.Bytes())
			}
		}
	}
}

// The next word is found eight bytes at a time as it is byte by byte.
func TestNextWord(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	b := make([]byte, 2*maxWord)
	for range 100000 {
		for i := range b {
			if b[i] = byte(rng.Uint32()); i > 0 && rng.IntN(3) > 0 && letterSet[b[i-1]] {
				b[i] = "aAzZmM@[`{"[rng.IntN(10)]
			}
		}
		want := 0
		for want < maxWord && letterSet[b[want]] {
			want++
		}
		for n := 0; n < maxWord && !letterSet[b[want]] && want < len(b)-1; n++ {
			want++
		}
		if got := nextWord(b); got != want && want < len(b)-1 {
			t.Fatalf("%q: %d, not %d", b, got, want)
		}
	}
}
