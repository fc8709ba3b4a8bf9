package secretscan

import "bytes"

// maxLiteral bounds how many bytes at the end of a chunk may have to wait for
// the next one to see whether they are a literal.
const maxLiteral = 48

type literal struct {
	text string // in lower case if fold is set
	rule int
	fold bool
	// anchor is the offset of the pair by which the prefilter knows it.
	anchor int
}

// at reports whether the literal stands at a place.
func (l *literal) at(b []byte, i int) bool {
	if i < 0 || len(b)-i < len(l.text) {
		return false
	}
	b = b[i : i+len(l.text)]
	if !l.fold {
		return string(b) == l.text
	}
	for k := range b {
		if lower[b[k]] != l.text[k] {
			return false
		}
	}
	return true
}

// begins reports whether all of b is the beginning of the literal.
func (l *literal) begins(b []byte) bool {
	if len(b) >= len(l.text) {
		return false
	}
	if l.fold {
		return bytes.EqualFold(b, []byte(l.text[:len(b)])) // literals are ASCII
	}
	return string(b) == l.text[:len(b)]
}

// lower maps capitals to small letters.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()

// prefilter answers for each position whether a literal can stand around it: by
// one bit for each pair of bytes, 8 KiB which stay in the first-level cache, and
// where that is set by the bytes in front of the pair and behind it.
type prefilter struct {
	bits [1 << 16 / 64]uint64
	// index gives, for a pair with its bit set, its bucket. It is touched on
	// hits only.
	index   [1 << 16]uint16
	buckets []bucket
	first   [256][]uint16 // literals by their first byte
}

// bucket has the literals that have one pair at their anchor.
type bucket struct {
	before, after [256 / 64]uint64 // which bytes can stand there
	literals      []uint16
}

func (p *prefilter) build(literals []literal) {
	p.buckets = make([]bucket, 1) // none, for pairs without a literal
	for n := range literals {
		l := &literals[n]
		for o := 1; o+1 < len(l.text); o++ {
			if commonness(l.text[o:o+2]) < commonness(l.text[l.anchor:l.anchor+2]) {
				l.anchor = o
			}
		}
		for _, a := range l.cases(l.anchor) {
			for _, b := range l.cases(l.anchor + 1) {
				p.add(l, n, a, b)
			}
		}
		for _, c := range l.cases(0) {
			p.first[c] = append(p.first[c], uint16(n))
		}
	}
}

func (p *prefilter) add(l *literal, n int, a, b byte) {
	k := pair(a, b)
	if p.index[k] == 0 {
		p.bits[k>>6] |= 1 << (k & 63)
		p.index[k] = uint16(len(p.buckets))
		p.buckets = append(p.buckets, bucket{})
	}
	bk := &p.buckets[p.index[k]]
	bk.literals = append(bk.literals, uint16(n))
	l.admit(&bk.before, l.anchor-1)
	l.admit(&bk.after, l.anchor+2)
}

// admit adds what the literal has at i to a set, which is everything beyond its
// ends.
func (l *literal) admit(set *[256 / 64]uint64, i int) {
	if i < 0 || i >= len(l.text) {
		for w := range set {
			set[w] = ^uint64(0)
		}
		return
	}
	for _, c := range l.cases(i) {
		set[c>>6] |= 1 << (c & 63)
	}
}

// cases are the bytes that the literal can have at i.
func (l *literal) cases(i int) []byte {
	c := l.text[i]
	if l.fold && 'a' <= c && c <= 'z' {
		return []byte{c, c - 'a' + 'A'}
	}
	return []byte{c}
}

func pair(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) }

// commonness guesses how often a pair occurs in text, source and JSON; the
// rarest pair of a literal is the cheapest to look for.
func commonness(s string) int {
	if s[0] == s[1] && s[0] == '-' {
		return 2 * 26 // rules drawn with hyphens
	}
	return byteCommonness(s[0]) + byteCommonness(s[1])
}

func byteCommonness(c byte) int {
	if i := bytes.IndexByte([]byte("zqjxkvbywgpfmucdlhrsnioate"), c); i >= 0 {
		return i
	}
	switch {
	case c == ' ':
		return 26
	case c == '_' || c == '-' || c == '.' || c == '=' || c == '"' || c == '/' || c == ':':
		return 10
	}
	return 3
}

// next returns the first position from i on whose pair of bytes is the anchor
// of a literal, or -1.
func (p *prefilter) next(b []byte, i int) int {
	if i+1 >= len(b) {
		return -1
	}
	k := uint32(b[i])
	for j, c := range b[i+1:] {
		k = k<<8&0xff00 | uint32(c)
		if p.bits[k>>6]&(1<<(k&63)) != 0 && p.fits(b, i+j, k) {
			return i + j
		}
	}
	return -1
}

// fits looks at what stands around a pair.
func (p *prefilter) fits(b []byte, i int, k uint32) bool {
	bk := &p.buckets[p.index[uint16(k)]]
	if i > 0 {
		if c := b[i-1]; bk.before[c>>6]&(1<<(c&63)) == 0 {
			return false
		}
	}
	if i+2 < len(b) {
		if c := b[i+2]; bk.after[c>>6]&(1<<(c&63)) == 0 {
			return false
		}
	}
	return true
}

func (p *prefilter) at(a, b byte) []uint16 { return p.buckets[p.index[pair(a, b)]].literals }

// cutOff returns the first position at which the end of b cuts off what could
// become a literal.
func (p *prefilter) cutOff(b []byte, from int, literals []literal) int {
	for i := max(from, len(b)-maxLiteral+1); i < len(b); i++ {
		for _, n := range p.first[b[i]] {
			if literals[n].begins(b[i:]) {
				return i
			}
		}
	}
	return len(b)
}
