package secretscan

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// decode takes off every encoding that is found in a view and judges what comes
// out. It returns the position before which all that is decided: what hangs on
// bytes behind the view is not.
func (j *job) decode(v *view) (decided int) {
	decided = len(v.b)
	for _, pass := range passes {
		decided = min(decided, pass(j, v))
		if j.found {
			return decided
		}
	}
	return decided
}

// passes are the decoders, each of which looks for its own kind of span.
// They are filled in by init, because they call each other through judge.
var passes []func(*job, *view) int

func init() {
	passes = []func(*job, *view) int{
		(*job).runs, (*job).escapes, (*job).separated, (*job).wide, (*job).lookAlikes, (*job).packed,
	}
}

// Sizes of spans.
const (
	// minRun is the shortest run of letters and digits that is decoded.
	minRun = 16
	// allPhases bounds the runs that are decoded from each of their first bytes
	// on, because letters in front may have shifted them.
	allPhases = 4 << 10
	// piece is how much of a long run is decoded at once, overlap how much of
	// the piece before is decoded again.
	piece   = 64 << 10
	overlap = 4 << 10
)

// nextRun finds the first run of at least min bytes of a set from i on. I must be
// the beginning of a run, or in none. It looks at every min-th byte where there
// is no run.
func nextRun(b []byte, i, min int, set *[256]bool) (start, end int) {
	for i+min <= len(b) {
		k := i + min - 1
		for k >= i && set[b[k]] {
			k--
		}
		if k >= i {
			i = k + 1
			continue
		}
		return i, runEnd(b, i+min, set)
	}
	return -1, -1
}

// runEnd returns where a run that reaches i ends.
func runEnd(b []byte, i int, set *[256]bool) int {
	for ; i+8 <= len(b); i += 8 {
		if w := b[i : i+8 : i+8]; !(set[w[0]] && set[w[1]] && set[w[2]] && set[w[3]] && set[w[4]] && set[w[5]] && set[w[6]] && set[w[7]]) {
			break
		}
	}
	for i < len(b) && set[b[i]] {
		i++
	}
	return i
}

// runs decodes base64, base32 and hexadecimal digits: runs of one alphabet,
// broken into lines or not.
func (j *job) runs(v *view) (decided int) {
	b := v.b
	i := v.from
	for i > 0 && encoded[b[i-1]] {
		i--
	}
	decided = len(b)
	joined := 0 // runs that begin before it were lines of a text already
	for {
		start, end := nextRun(b, i, minRun, (*[256]bool)(encoded))
		if start < 0 {
			return decided
		}
		decided = min(decided, j.oneRun(v, start, end))
		if j.found {
			return decided
		}
		i = end
		if end-start >= minLine && start >= joined {
			var d int
			joined, d = j.lines(v, start, end)
			decided = min(decided, d)
			if j.found {
				return decided
			}
		}
	}
}

// oneRun decodes a run in every alphabet that it can be of.
func (j *job) oneRun(v *view, start, end int) (decided int) {
	decided = j.base64(v, start, end)
	if j.found {
		return decided
	}
	return min(decided, j.subRuns(v, start, end))
}

// minSub is the shortest run of a smaller alphabet that is decoded, of hexadecimal
// digits or of base32.
const minSub = 24

// subAlphabet is one whose runs are looked for within a run.
type subAlphabet struct {
	set    *set
	decode func(*job, *view, int, int) int
}

// subs are by their bit in subSet.
var subs = []subAlphabet{
	{hexSet, (*job).hex}, {base32Set, (*job).base32}, {lowBase32Set, (*job).base32},
}

var subSet = func() (t [256]uint8) {
	for n, set := range []*set{hexSet, base32Set, lowBase32Set} {
		for c := range t {
			if set[c] {
				t[c] |= 1 << n
			}
		}
	}
	return t
}()

// subRuns decodes the runs of smaller alphabets within a run. Four bytes in every
// few tell that there is none.
func (j *job) subRuns(v *view, start, end int) (decided int) {
	decided = len(v.b)
	done := [3]int{start, start, start}
	for k := start + minSub - 1; k < end; k += minSub - 3 {
		w := v.b[k-3 : k+1 : k+1]
		m := subSet[w[0]] & subSet[w[1]] & subSet[w[2]] & subSet[w[3]]
		for ; m != 0; m &= m - 1 {
			n := bits.TrailingZeros8(m)
			if done[n] > k {
				continue
			}
			sub := &subs[n]
			s, e := k, runEnd(v.b[:end], k, (*[256]bool)(sub.set))
			for s > done[n] && sub.set[v.b[s-1]] {
				s--
			}
			done[n] = e
			if e-s < minSub {
				continue
			}
			if decided = min(decided, sub.decode(j, v, s, e)); j.found {
				return decided
			}
		}
	}
	return decided
}

// base64 decodes a run of base64 or base64url. A short one is decoded from each
// of its first four bytes on.
func (j *job) base64(v *view, start, end int) (decided int) {
	decided = len(v.b)
	if !worthBase64(v.b[start:end]) {
		return decided
	}
	phases, first := 4, 0
	if end-start > allPhases {
		phases = 1
		if start == 0 && v.runStart >= 0 {
			first = (4 - (v.start-v.runStart)&3) & 3
		}
	}
	for p := first; p < first+phases; p++ {
		for at := start + p; at+minRun <= end || at == start+p; at += piece {
			stop := min(end, at+piece+overlap)
			out := &j.scratch[v.depth+1].out
			*out = appendBase64((*out)[:0], v.b[at:stop])
			c := j.child(v, "base64", *out, at, stop)
			c.num, c.den, c.whole = 4, 3, p == first && at == start+p
			decided = min(decided, j.nested(c))
			if j.found || stop == end {
				break
			}
		}
		if j.found {
			break
		}
	}
	return decided
}

// worthBase64 tells what can be base64 from names and slugs: it has both cases,
// and unless it is long a digit or a sign, too.
func worthBase64(run []byte) bool {
	const long = 27 // what a token of twenty bytes takes
	if len(run) > allPhases {
		return true
	}
	var lowers, uppers, others int
	for _, c := range run {
		switch {
		case 'a' <= c && c <= 'z':
			lowers++
		case 'A' <= c && c <= 'Z':
			uppers++
		default:
			others++
		}
	}
	return lowers > 0 && uppers > 0 && (others > 0 || len(run) >= long)
}

// base64Value is the value of a digit of either base64.
var base64Value = func() (t [256]uint32) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range digits {
		t[digits[i]] = uint32(i)
	}
	t['-'], t['_'] = 62, 63
	return t
}()

// appendBase64 decodes a run, which holds nothing but digits.
func appendBase64(dst, src []byte) []byte {
	dst = slices.Grow(dst, len(src)/4*3+8)
	n := len(dst)
	out := dst[:cap(dst)]
	for len(src) >= 8 && n+8 <= len(out) { // six bytes of eight, and two that are overwritten
		w := src[:8:8]
		high := base64Value[w[0]]<<18 | base64Value[w[1]]<<12 | base64Value[w[2]]<<6 | base64Value[w[3]]
		low := base64Value[w[4]]<<18 | base64Value[w[5]]<<12 | base64Value[w[6]]<<6 | base64Value[w[7]]
		binary.BigEndian.PutUint64(out[n:], uint64(high)<<40|uint64(low)<<16)
		src, n = src[8:], n+6
	}
	dst = out[:n]
	for len(src) >= 4 {
		n := base64Value[src[0]]<<18 | base64Value[src[1]]<<12 | base64Value[src[2]]<<6 | base64Value[src[3]]
		dst = append(dst, byte(n>>16), byte(n>>8), byte(n))
		src = src[4:]
	}
	switch len(src) {
	case 2:
		n := base64Value[src[0]]<<6 | base64Value[src[1]]
		dst = append(dst, byte(n>>4))
	case 3:
		n := base64Value[src[0]]<<12 | base64Value[src[1]]<<6 | base64Value[src[2]]
		dst = append(dst, byte(n>>10), byte(n>>2))
	}
	return dst
}

// hex decodes a run of hexadecimal digits, from its first and its second on.
func (j *job) hex(v *view, start, end int) (decided int) {
	decided = len(v.b)
	for p := range 2 {
		out := &j.scratch[v.depth+1].out
		*out = (*out)[:0]
		for i := start + p; i+1 < end; i += 2 {
			*out = append(*out, digit(v.b[i])<<4|digit(v.b[i+1]))
		}
		c := j.child(v, "hex", *out, start+p, end)
		c.num, c.den, c.whole = 2, 1, p == 0
		decided = min(decided, j.nested(c))
		if j.found {
			break
		}
	}
	return decided
}

func digit(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// base32 decodes a run of base32, a short one from each of its first eight digits
// on.
func (j *job) base32(v *view, start, end int) (decided int) {
	decided = len(v.b)
	phases := 8
	if end-start > allPhases {
		phases = 1
	}
	for p := range phases {
		out := &j.scratch[v.depth+1].out
		*out = appendBase32((*out)[:0], v.b[start+p:end])
		c := j.child(v, "base32", *out, start+p, end)
		c.num, c.den, c.whole = 8, 5, p == 0
		decided = min(decided, j.nested(c))
		if j.found {
			break
		}
	}
	return decided
}

// appendBase32 decodes a run of digits of one case.
func appendBase32(dst, src []byte) []byte {
	var n uint64
	bits := 0
	for _, c := range src {
		d := c&0x1f - 1 // letters of either case
		if c < 'A' {
			d = c - '2' + 26
		}
		n, bits = n<<5|uint64(d), bits+5
		if bits >= 8 {
			bits -= 8
			dst = append(dst, byte(n>>bits))
		}
	}
	return dst
}
