package secretscan

// maxLiteral bounds how many bytes at the end of a chunk may have to wait for
// the next one to see whether they are a literal.
const maxLiteral = 32

type literal struct {
	text string
	rule int
	// anchor is the offset of the pair by which the prefilter knows it.
	anchor int
}

// prefilter answers for each position whether a literal can stand around it, by
// one bit for each pair of bytes: 8 KiB, which stay in the first-level cache.
type prefilter struct {
	bits [1 << 16 / 64]uint64
	// index gives, for a pair with its bit set, the bucket of literals that have
	// it at their anchor. It is touched on hits only.
	index   [1 << 16]uint8
	buckets [][]int
	first   [256][]int // literals by their first byte
}

func (p *prefilter) build(literals []literal) {
	if len(literals) > 255 {
		panic("secretscan: more literals than the prefilter can index")
	}
	p.buckets = make([][]int, 1) // none, for pairs without a literal
	for n := range literals {
		l := &literals[n]
		for o := 1; o+1 < len(l.text); o++ {
			if commonness(l.text[o:o+2]) < commonness(l.text[l.anchor:l.anchor+2]) {
				l.anchor = o
			}
		}
		k := pair(l.text[l.anchor], l.text[l.anchor+1])
		if p.index[k] == 0 {
			p.bits[k>>6] |= 1 << (k & 63)
			p.index[k] = uint8(len(p.buckets))
			p.buckets = append(p.buckets, nil)
		}
		p.buckets[p.index[k]] = append(p.buckets[p.index[k]], n)
		p.first[l.text[0]] = append(p.first[l.text[0]], n)
	}
}

func pair(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) }

// commonness guesses how often a pair occurs in text, source and JSON; the
// rarest pair of a literal is the cheapest to look for.
func commonness(s string) int {
	if s[0] == s[1] && s[0] == '-' {
		return 9 // rules drawn with hyphens
	}
	return byteCommonness(s[0]) + byteCommonness(s[1])
}

func byteCommonness(c byte) int {
	switch {
	case c == 'x' || c == 'z' || c == 'k' || c == 'q' || c == 'j':
		return 2
	case 'a' <= c && c <= 'z':
		return 4
	case c == '_' || c == '-' || c == '.' || c == '=' || c == ' ':
		return 3
	}
	return 1
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
		if p.bits[k>>6]&(1<<(k&63)) != 0 {
			return i + j
		}
	}
	return -1
}

func (p *prefilter) bucket(a, b byte) []int { return p.buckets[p.index[pair(a, b)]] }

// cutOff returns the first position at which the end of b cuts off what could
// become a literal.
func (p *prefilter) cutOff(b []byte, from int, literals []literal) int {
	for i := max(from, len(b)-maxLiteral+1); i < len(b); i++ {
		for _, n := range p.first[b[i]] {
			if t := literals[n].text; len(t) > len(b)-i && t[:len(b)-i] == string(b[i:]) {
				return i
			}
		}
	}
	return len(b)
}
