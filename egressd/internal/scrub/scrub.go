// Package scrub replaces credentials in what comes back from an upstream, so
// that a server which echoes a request cannot hand the agent the token that was
// put into it.
//
// A credential is known in every spelling in which servers are seen to echo one:
// plain, base64 (standard and URL-safe, at each of the three phases at which it
// can stand inside longer data), hexadecimal, URL-escaped and JSON-escaped. The
// replacement has the same length, so that Content-Length, ranges of a file,
// gRPC messages and WebSocket frames stay valid.
//
// A [Reader] works on a stream: it gives out what it has as soon as it has it
// and holds back only a tail that could be the beginning of a credential. The
// first [Reveal] bytes of one may have left by then; no token is secret in
// those.
package scrub

import (
	"strings"
	"sync"

	"github.com/bottlesuite/bottle/internal/secret"
)

const (
	// MinLength is the length from which a credential is scrubbed. A shorter
	// one would stand in ordinary text by chance.
	MinLength = 8
	// Reveal is how many bytes at the end of what has been read are given out
	// although they could begin a credential. Without it an event stream that
	// ends in a token's first letter would stall.
	Reveal = 3
)

// Secret is a credential with the name that stands in its place.
type Secret struct {
	Name  string
	Value secret.String
}

// Set knows the spellings of some credentials. It is immutable and safe for
// concurrent use.
type Set struct {
	needles []needle
	pairs   [1 << 16 / 64]uint64
	buckets map[uint16][]int // needles by their first two bytes, longest first
	longest int
	buffers sync.Pool
}

// needle is one spelling, with what stands in its place and itself in lower
// case.
type needle struct {
	text, mask, lower string
}

// NewSet prepares the spellings of secrets.
func NewSet(secrets []Secret) *Set {
	s := &Set{buckets: map[uint16][]int{}}
	seen := map[string]bool{}
	for _, sec := range secrets {
		if len(sec.Value.Reveal()) < MinLength {
			continue
		}
		for _, n := range spellings(sec) {
			if !seen[n.text] {
				seen[n.text] = true
				s.add(n)
			}
		}
	}
	return s
}

func (s *Set) add(n needle) {
	k := pair(n.text[0], n.text[1])
	s.pairs[k>>6] |= 1 << (k & 63)
	i := len(s.needles)
	n.lower = strings.ToLower(n.text)
	s.needles = append(s.needles, n)
	b := append(s.buckets[k], i)
	for j := len(b) - 1; j > 0 && len(s.needles[b[j]].text) > len(s.needles[b[j-1]].text); j-- {
		b[j], b[j-1] = b[j-1], b[j]
	}
	s.buckets[k] = b
	s.longest = max(s.longest, len(n.text))
}

func pair(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) }

// Empty reports whether there is nothing to look for.
func (s *Set) Empty() bool { return s == nil || len(s.needles) == 0 }

// String scrubs a short text, such as a header's value, and counts what it
// replaced.
func (s *Set) String(v string) (clean string, hits int) {
	if s.Empty() || len(v) < MinLength {
		return v, 0
	}
	b := []byte(v)
	if hits = s.bytes(b); hits == 0 {
		return v, 0
	}
	return string(b), hits
}

// Holds reports whether v holds a credential, in whatever case. It is meant for
// names of fields, whose case HTTP changes.
func (s *Set) Holds(v string) bool {
	if s.Empty() || len(v) < MinLength {
		return false
	}
	v = strings.ToLower(v)
	for i := range s.needles {
		if strings.Contains(v, s.needles[i].lower) {
			return true
		}
	}
	return false
}

// bytes scrubs b in place.
func (s *Set) bytes(b []byte) (hits int) {
	for i := s.next(b, 0); i >= 0; i = s.next(b, i) {
		if n := s.at(b, i); n != nil {
			copy(b[i:], n.mask)
			i += len(n.mask)
			hits++
		} else {
			i++
		}
	}
	return hits
}

// next returns the first position from i on at which a needle may begin, or -1.
func (s *Set) next(b []byte, i int) int {
	if i+1 >= len(b) {
		return -1
	}
	k := uint32(b[i])
	for j, c := range b[i+1:] {
		k = k<<8&0xff00 | uint32(c)
		if s.pairs[k>>6]&(1<<(k&63)) != 0 {
			return i + j
		}
	}
	return -1
}

// at returns the longest needle that stands at b[i:].
func (s *Set) at(b []byte, i int) *needle {
	for _, n := range s.buckets[pair(b[i], b[i+1])] {
		if t := s.needles[n].text; len(b)-i >= len(t) && string(b[i:i+len(t)]) == t {
			return &s.needles[n]
		}
	}
	return nil
}

// tail returns the length of the longest end of b that begins a needle.
func (s *Set) tail(b []byte) int {
	for i := max(0, len(b)-s.longest+1); i < len(b); i++ {
		rest := b[i:]
		for n := range s.needles {
			if t := s.needles[n].text; len(t) > len(rest) && t[:len(rest)] == string(rest) {
				return len(rest)
			}
		}
	}
	return 0
}
