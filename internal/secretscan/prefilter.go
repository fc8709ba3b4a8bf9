package secretscan

import (
	"bytes"
	"encoding/binary"
)

// maxLiteral bounds how many bytes at the end of a chunk may have to wait for
// the next one to see whether they are a literal.
const maxLiteral = 48

type literal struct {
	text string // in lower case if fold is set
	rule int
	fold bool
	// anchor is the offset of the bytes by which the prefilter knows it.
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

// prefilter answers for each position whether a literal can stand around it. It
// knows a literal by three bytes of it: by two pairs, each of which is a look into
// a table of 32 KiB, and where both pass by what else stands around them.
type prefilter struct {
	// pairs has for a pair of bytes, seven bits of each, the groups of literals
	// whose three bytes begin with it (low byte), and end with it (high byte).
	pairs [1 << 14]uint16
	// index gives the bucket of literals for the first pair, 0 for none. It is
	// touched on hits only.
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
		for o := 1; o+2 < len(l.text); o++ {
			if commonness(l.text[o:o+3]) < commonness(l.text[l.anchor:l.anchor+3]) {
				l.anchor = o
			}
		}
		p.group(l)
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

// group enters the two pairs of a literal. Literals with the same byte in front
// share one of seven groups; those of two bytes, behind which anything may stand,
// have the eighth.
func (p *prefilter) group(l *literal) {
	group := uint16(1) << (lower[l.text[l.anchor]] % 7)
	var third []byte
	if l.anchor+2 < len(l.text) {
		third = l.cases(l.anchor + 2)
	} else {
		group = 1 << 7
		for c := range byte(1 << 7) {
			third = append(third, c)
		}
	}
	for _, b := range l.cases(l.anchor + 1) {
		for _, a := range l.cases(l.anchor) {
			p.pairs[low(a, b)] |= group
		}
		for _, c := range third {
			p.pairs[low(b, c)] |= group << 8
		}
	}
}

func (p *prefilter) add(l *literal, n int, a, b byte) {
	k := pair(a, b)
	if p.index[k] == 0 {
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

// low is a pair without its highest bits.
func low(a, b byte) uint16 { return uint16(b&0x7f)<<7 | uint16(a&0x7f) }

// commonness guesses how often bytes occur in text, source and JSON; the rarest
// ones of a literal are the cheapest to look for.
func commonness(s string) (n int) {
	for i := range len(s) {
		if i > 0 && s[i] == '-' && s[i-1] == '-' {
			return 26 * len(s) // rules drawn with hyphens
		}
		n += byteCommonness(s[i])
	}
	return n
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

// next returns the first position from i on at which the anchor of a literal can
// stand, or -1.
func (p *prefilter) next(b []byte, i int) int {
	if i+1 >= len(b) {
		return -1
	}
	t0 := p.pairs[low(b[i], b[i+1])]
	for ; i+10 <= len(b); i += 8 {
		odd := lows(binary.LittleEndian.Uint64(b[i+1:]))
		even := lows(binary.LittleEndian.Uint64(b[i+2:]))
		t1 := p.pairs[odd&0x3fff]
		t2 := p.pairs[even&0x3fff]
		t3 := p.pairs[odd>>16&0x3fff]
		t4 := p.pairs[even>>16&0x3fff]
		t5 := p.pairs[odd>>32&0x3fff]
		t6 := p.pairs[even>>32&0x3fff]
		t7 := p.pairs[odd>>48&0x3fff]
		t8 := p.pairs[even>>48&0x3fff]
		hit := t0&(t1>>8) | t1&(t2>>8) | t2&(t3>>8) | t3&(t4>>8) | t4&(t5>>8) | t5&(t6>>8) | t6&(t7>>8) | t7&(t8>>8)
		if hit&0xff != 0 {
			for k := i; k < i+8; k++ {
				if p.fits(b, k) {
					return k
				}
			}
		}
		t0 = t8
	}
	for ; i+1 < len(b); i++ {
		if p.fits(b, i) {
			return i
		}
	}
	return -1
}

// lows packs four pairs of bytes as low does.
func lows(w uint64) uint64 { return w&0x007f007f007f007f | w&0x7f007f007f007f00>>1 }

// fits looks at a pair and at what stands around it.
func (p *prefilter) fits(b []byte, i int) bool {
	if p.pairs[low(b[i], b[i+1])]&0xff == 0 {
		return false
	}
	n := p.index[pair(b[i], b[i+1])]
	if n == 0 {
		return false
	}
	bk := &p.buckets[n]
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
