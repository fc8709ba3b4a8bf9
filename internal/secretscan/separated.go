package secretscan

import "bytes"

// minBytes is how many bytes, written one by one, are taken for an encoding.
const minBytes = 12

// separated decodes bytes that are written one by one: hexadecimal pairs with a
// colon, blank, comma or hyphen between them (67:68:70, 0x67, 0x68), and lists of
// decimal numbers ([103, 104, 112]).
func (j *job) separated(v *view) (decided int) {
	decided = len(v.b)
	// Twelve pairs take at least 35 bytes, so one look into every 18 sees three.
	const stride = 18
	for i := max(0, v.from-Context); i+8 < len(v.b); i += stride {
		start, ok := separatedAt(v.b, i)
		if !ok {
			continue
		}
		s := &j.scratch[v.depth+1]
		var end int
		s.out, s.pos, end = readSeparated(s.out[:0], s.pos[:0], v.b, start)
		if len(s.out) >= minBytes {
			c := j.child(v, "bytes", s.out, start, end)
			c.pos, c.whole = s.pos, true
			decided = min(decided, j.nested(c))
			if j.found {
				return decided
			}
		}
		i = max(i, end-stride)
	}
	return decided
}

// separatedAt reports whether two bytes written one by one stand near i, and
// where the first of the list that they are in does.
func separatedAt(b []byte, i int) (start int, ok bool) {
	for o := i; o < i+6 && o < len(b); o++ {
		if !hexSet[b[o]] || o > 0 && (word[b[o-1]]) && b[o-1] != 'x' {
			continue
		}
		_, n := oneByte(b[o:])
		if n == 0 {
			continue
		}
		gap := separator(b[o+n:])
		if gap == 0 {
			continue
		}
		if _, m := oneByte(b[o+n+gap:]); m == 0 || separator(b[o+n+gap+m:]) == 0 {
			continue
		}
		return backSeparated(b, o), true
	}
	return 0, false
}

// backSeparated goes back to where a list begins.
func backSeparated(b []byte, at int) int {
	low := max(0, at-overlap)
	for at > low {
		k := at - 1
		for k > low && separators[b[k]] {
			k--
		}
		if k == at-1 || !hexSet[b[k]] {
			break
		}
		for k > low && hexSet[b[k-1]] && at-k < 8 {
			k--
		}
		if k > low+1 && b[k-1] == 'x' && b[k-2] == '0' {
			k -= 2
		}
		if n := sizeOfByte(b[k:at]); n == 0 {
			break
		}
		at = k
	}
	return at
}

func sizeOfByte(b []byte) int { _, n := oneByte(b); return n }

// oneByte reads one byte of a list: 0x67, two hexadecimal digits, or a decimal
// number of three digits at most, which stands before a comma. It returns how
// long that is, 0 for none.
func oneByte(b []byte) (c byte, n int) {
	if len(b) >= 4 && b[0] == '0' && (b[1] == 'x' || b[1] == 'X') && hexSet[b[2]] && hexSet[b[3]] {
		return digit(b[2])<<4 | digit(b[3]), 4
	}
	value := 0
	for n < len(b) && n < 4 && hexSet[b[n]] {
		if b[n] > '9' {
			value = 1000
		}
		value = value*10 + int(digit(b[n]))
		n++
	}
	switch {
	case n == 2 && (len(b) == 2 || !decimalList(b[2:])):
		return digit(b[0])<<4 | digit(b[1]), 2
	case (n == 2 || n == 3) && value < 256:
		return byte(value), n
	}
	return 0, 0
}

// decimalList reports whether what follows a number of two digits is the comma of
// a list of decimal numbers, of which a text's hold three digits within reach.
func decimalList(b []byte) bool {
	if len(b) == 0 || b[0] != ',' {
		return false
	}
	run := 0
	for i, c := range b {
		if i > 24 {
			break
		}
		switch {
		case '0' <= c && c <= '9':
			if run++; run == 3 {
				return true
			}
		case hexSet[c] || c == 'x':
			return false
		default:
			run = 0
		}
	}
	return false
}

var separators = chars(" ", ",", ":", "\n", "\r", "\t", "-", "|", ";", "_")

// separator returns the length of what stands between two bytes of a list, 0 for
// nothing.
func separator(b []byte) (n int) {
	for n < len(b) && n < 8 && separators[b[n]] {
		n++
	}
	return n
}

// readSeparated decodes a list.
func readSeparated(dst []byte, pos []int32, b []byte, at int) ([]byte, []int32, int) {
	for at < len(b) && len(dst) < piece {
		c, n := oneByte(b[at:])
		if n == 0 {
			break
		}
		dst, pos = append(dst, c), append(pos, int32(at))
		at += n
		gap := separator(b[at:])
		if gap == 0 {
			break
		}
		if _, n := oneByte(b[at+gap:]); n == 0 {
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
			i++
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
