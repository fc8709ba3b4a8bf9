package secretscan

import (
	"bytes"
	"encoding/binary"
)

// minBytes is how many bytes, written one by one, are taken for an encoding.
const minBytes = 12

// numbers is a way to write a byte.
type numbers struct {
	// read returns the byte that is written at the beginning of b, and how long
	// that is, 0 for none.
	read  func(b []byte) (c byte, n int)
	digit *set
}

var (
	hexNumbers     = numbers{hexByte, hexSet}
	decimalNumbers = numbers{decimalByte, digitSet}
)

// separated decodes bytes that are written one by one: hexadecimal pairs with a
// colon, blank, comma or hyphen between them (67:68:70, 0x67, 0x68), and lists of
// decimal numbers ([103, 104, 112]).
func (j *job) separated(v *view) (decided int) {
	decided = len(v.b)
	// Twelve numbers take at least 35 bytes, so a look into every 18 sees three.
	const stride = 18
	for i := max(0, v.from-Context); i+8 < len(v.b); i += stride {
		if !listed(v.b[i : i+8]) {
			continue
		}
		next := i
		for _, kind := range []*numbers{&hexNumbers, &decimalNumbers} {
			start, ok := kind.at(v.b, i)
			if !ok {
				continue
			}
			s := &j.scratch[v.depth+1]
			var end int
			s.out, s.pos, end = kind.list(s.out[:0], s.pos[:0], v.b, start)
			if len(s.out) >= minBytes {
				c := j.child(v, "bytes", s.out, start, end)
				c.pos, c.whole = s.pos, true
				decided = min(decided, j.nested(c))
				if j.found {
					return decided
				}
			}
			next = max(next, end-stride)
		}
		i = next
	}
	return decided
}

// listed reports whether eight bytes could be of a list of numbers, which text
// hardly ever is.
func listed(b []byte) bool {
	b = b[:8]
	if listBit[b[0]]&listBit[b[2]]&listBit[b[5]]&listBit[b[7]] == 0 {
		return false // one branch for most text
	}
	return listSet[b[1]] && listSet[b[3]] && listSet[b[4]] && listSet[b[6]]
}

var listBit = func() (t [256]uint8) {
	for c := range t {
		if listSet[c] {
			t[c] = 1
		}
	}
	return t
}()

// at reports whether three numbers in a row stand near i, and where the list that
// they are in begins.
func (k *numbers) at(b []byte, i int) (start int, ok bool) {
	for o := i; o < i+6 && o < len(b); o++ {
		if !k.digit[b[o]] || o > 0 && word[b[o-1]] {
			continue
		}
		at := o
		for range 2 {
			_, n := k.read(b[at:])
			gap := 0
			if n > 0 {
				gap = separator(b[at+n:])
			}
			if gap == 0 {
				at = -1
				break
			}
			at += n + gap
		}
		if at < 0 {
			continue
		}
		if _, n := k.read(b[at:]); n > 0 {
			return k.first(b, o), true
		}
	}
	return 0, false
}

// first goes back to where a list begins.
func (k *numbers) first(b []byte, at int) int {
	low := max(0, at-overlap)
	for at > low {
		end := at
		for end > low && separators[b[end-1]] {
			end--
		}
		from := end
		for from > low && end-from < 4 && (k.digit[b[from-1]] || b[from-1] == 'x') {
			from--
		}
		if end == at || from == end || from > 0 && word[b[from-1]] {
			return at
		}
		if _, n := k.read(b[from:]); n != end-from {
			return at
		}
		at = from
	}
	return at
}

// hexByte reads 0x67, or two digits.
func hexByte(b []byte) (c byte, n int) {
	if len(b) >= 4 && b[0] == '0' && (b[1] == 'x' || b[1] == 'X') && hexSet[b[2]] && hexSet[b[3]] {
		return digit(b[2])<<4 | digit(b[3]), 4
	}
	if len(b) >= 2 && hexSet[b[0]] && hexSet[b[1]] && (len(b) == 2 || !word[b[2]]) {
		return digit(b[0])<<4 | digit(b[1]), 2
	}
	return 0, 0
}

// decimalByte reads a number below 256.
func decimalByte(b []byte) (c byte, n int) {
	value := 0
	for n < len(b) && n < 4 && isDigit(b[n]) {
		value = value*10 + int(b[n]-'0')
		n++
	}
	if n == 0 || value > 255 || n < len(b) && word[b[n]] {
		return 0, 0
	}
	return byte(value), n
}

var (
	digitSet   = chars("0-9")
	listSet    = chars("0-9", "a-f", "A-F", "xX", " ", ",", ":", "\n", "\r", "\t", "-", "|", ";", "+")
	separators = chars(" ", ",", ":", "\n", "\r", "\t", "-", "|", ";", "+")
)

// separator returns the length of what stands between two numbers, 0 for nothing.
func separator(b []byte) (n int) {
	for n < len(b) && n < 8 && separators[b[n]] {
		n++
	}
	return n
}

// list decodes the list at a place.
func (k *numbers) list(dst []byte, pos []int32, b []byte, at int) ([]byte, []int32, int) {
	for at < len(b) && len(dst) < piece {
		c, n := k.read(b[at:])
		if n == 0 {
			break
		}
		dst, pos = append(dst, c), append(pos, int32(at))
		at += n
		gap := separator(b[at:])
		if gap == 0 {
			break
		}
		if _, n := k.read(b[at+gap:]); n == 0 {
			break
		}
		at += gap
	}
	return dst, append(pos, int32(at)), at
}

// wide decodes UTF-16 of either byte order, and UTF-32: letters with zeros
// between them.
func (j *job) wide(v *view) (decided int) {
	decided = len(v.b)
	b := v.b
	for i := max(0, v.from-overlap); i < len(b); {
		k := bytes.IndexByte(b[i:], 0)
		if k < 0 {
			return decided
		}
		i += k
		start, step := wideAt(b, i)
		if step == 0 {
			for i++; i+8 < len(b) && binary.LittleEndian.Uint64(b[i:]) == 0; {
				i += 4 // there is no letter near
			}
			continue
		}
		s := &j.scratch[v.depth+1]
		s.out, s.pos = s.out[:0], s.pos[:0]
		end := start
		for end < len(b) && isText(b[end]) && len(s.out) < piece {
			s.out, s.pos = append(s.out, b[end]), append(s.pos, int32(end))
			next := end + step
			if next > len(b) || !zeros(b[end+1:min(next, len(b))]) {
				end++
				break
			}
			end = next
		}
		end = min(end, len(b))
		s.pos = append(s.pos, int32(end))
		if len(s.out) >= minBytes {
			c := j.child(v, "utf-16", s.out, start, end)
			c.pos = s.pos
			decided = min(decided, j.nested(c))
			if j.found {
				return decided
			}
		}
		i = max(i+1, end)
	}
	return decided
}

// wideAt looks for letters at equal distance around the zero at i. It returns the
// first letter, and the distance, 0 for none.
func wideAt(b []byte, i int) (start, step int) {
	for _, step := range []int{2, 4} {
		if i+2*step >= len(b) {
			continue
		}
		for _, at := range []int{i - 1, i + step - 1} { // little endian, big endian
			if at >= 0 && isText(b[at]) && isText(b[at+step]) && zeros(b[at+1:at+step]) && at+2*step < len(b) && zeros(b[at+step+1:at+2*step]) {
				return at, step
			}
		}
	}
	return 0, 0
}

func isText(c byte) bool { return c >= ' ' && c < 0x7f || c == '\n' || c == '\r' || c == '\t' }

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
