package secretscan

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeGap is how far two escapes may stand apart to be taken off together, and
// how much around them is looked at with them.
const escapeGap = 256

// escapes takes off the escapes of URLs (%5F), of JSON and programs (\u005f,
// \x5f, \137), and of HTML (&#95;). Plain text between them belongs to the span;
// text without them is left to the other passes.
func (j *job) escapes(v *view) (decided int) {
	decided = len(v.b)
	e := escapeFinder{b: v.b}
	at := e.next(max(0, v.from-escapeGap))
	for at >= 0 {
		start, last := max(0, at-escapeGap), at
		for {
			if at = e.next(last + 1); at < 0 || at-last > escapeGap || at-start > piece {
				break
			}
			last = at
		}
		end := min(len(v.b), last+escapeGap)
		if at >= 0 && at-last <= escapeGap { // a long text is taken piece by piece
			end = min(len(v.b), last+overlap)
		}
		s := &j.scratch[v.depth+1]
		s.out, s.pos = unescape(s.out[:0], s.pos[:0], v.b, start, end)
		c := j.child(v, "escapes", s.out, start, end)
		c.pos = s.pos
		decided = min(decided, j.nested(c))
		if j.found {
			return decided
		}
	}
	return decided
}

// escapeFinder finds the escapes that could hide a byte of a token. Those that
// every JSON text is full of, of line ends and quotes, hide none.
type escapeFinder struct {
	b []byte
	// at are the next candidates by their first byte; -1 for none, 0 not looked for.
	at [3]int
}

const escapeMarks = `%\&`

// escapeSeconds are what can stand behind each of the marks.
var escapeSeconds = [...]*set{hexSet, chars("x", "u", "U", "0-3", `\`), chars("#", "a-z", "A-Z")}

// next returns the first escape at or after i, or -1.
func (e *escapeFinder) next(i int) int {
	first := -1
	for n := range e.at {
		if e.at[n] >= 0 && e.at[n] < i || e.at[n] == 0 {
			e.at[n] = e.find(escapeMarks[n], escapeSeconds[n], i)
		}
		if e.at[n] >= i && (first < 0 || e.at[n] < first) {
			first = e.at[n]
		}
	}
	return first
}

func (e *escapeFinder) find(mark byte, second *set, i int) int {
	for i < len(e.b) {
		k := bytes.IndexByte(e.b[i:], mark)
		if k < 0 {
			return -1
		}
		i += k
		if i+1 < len(e.b) && !second[e.b[i+1]] {
			i++
			continue
		}
		if hidesByte(e.b[i:]) {
			return i
		}
		if i++; mark == '\\' && i < len(e.b) && e.b[i] == '\\' {
			i++
			if i < len(e.b) && (e.b[i] == 'u' || e.b[i] == 'x') {
				return i - 2 // an escape that is escaped itself
			}
		}
	}
	return -1
}

// hidesByte reports whether an escape begins here that could be a letter's.
func hidesByte(b []byte) bool {
	_, n := escapeAt(b)
	if n == 0 {
		return false
	}
	return b[0] != '\\' || strings.IndexByte(`nrtbfv"'\`, b[1]) < 0
}

// escapeAt reads the escape at the beginning of b. It returns the rune and how
// many bytes it takes, none if there is no escape.
func escapeAt(b []byte) (r rune, n int) {
	switch {
	case len(b) < 2:
	case b[0] == '%' && len(b) >= 3 && hexSet[b[1]] && hexSet[b[2]]:
		return rawByte(digit(b[1])<<4 | digit(b[2])), 3
	case b[0] == '&':
		return entityAt(b)
	case b[0] != '\\':
	case b[1] == 'x' && len(b) >= 4 && hexSet[b[2]] && hexSet[b[3]]:
		return rawByte(digit(b[2])<<4 | digit(b[3])), 4
	case b[1] == 'u' && len(b) >= 6 && b[2] == '{':
		return number(b[3:], 16, '}', 4)
	case b[1] == 'u':
		return utf16At(b)
	case b[1] == 'U' && len(b) >= 10:
		if r, k := number(b[2:10], 16, 0, 2); k == 10 {
			return r, k
		}
	case '0' <= b[1] && b[1] <= '3' && len(b) >= 4 && octal(b[2]) && octal(b[3]):
		return rawByte((b[1]-'0')<<6 | (b[2]-'0')<<3 | (b[3] - '0')), 4
	default:
		if k := strings.IndexByte(`nrtbfv"'\/`, b[1]); k >= 0 {
			return rune("\n\r\t\b\f\v\"'\\/"[k]), 2
		}
	}
	return 0, 0
}

// rawByte marks a byte above ASCII, which is a part of a rune's encoding, so that
// it is put out as it is.
func rawByte(c byte) rune {
	if c >= utf8.RuneSelf {
		return -rune(c)
	}
	return rune(c)
}

func octal(c byte) bool { return '0' <= c && c <= '7' }

// utf16At reads \uXXXX, or two of them that make one rune.
func utf16At(b []byte) (rune, int) {
	r, ok := four(b)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if low, ok := four(b[6:]); ok {
			if r2 := utf16.DecodeRune(r, low); r2 != utf8.RuneError {
				return r2, 12
			}
		}
	}
	return r, 6
}

func four(b []byte) (r rune, ok bool) {
	if len(b) < 6 {
		return 0, false
	}
	for _, c := range b[2:6] {
		if !hexSet[c] {
			return 0, false
		}
		r = r<<4 | rune(digit(c))
	}
	return r, true
}

// entities are the named ones of bytes that tokens have.
var entities = map[string]rune{
	"lowbar": '_', "hyphen": '-', "dash": '-', "period": '.', "plus": '+', "sol": '/', "equals": '=', "colon": ':',
	"amp": '&', "quot": '"', "apos": '\'', "lt": '<', "gt": '>', "NewLine": '\n', "Tab": '\t',
}

func entityAt(b []byte) (rune, int) {
	if len(b) > 3 && b[1] == '#' {
		if b[2] == 'x' || b[2] == 'X' {
			return number(b[3:], 16, ';', 3)
		}
		return number(b[2:], 10, ';', 2)
	}
	end := bytes.IndexByte(b[:min(len(b), 10)], ';')
	if end < 0 {
		return 0, 0
	}
	r, ok := entities[string(b[1:end])]
	if !ok {
		return 0, 0
	}
	return r, end + 1
}

// number reads digits up to stop, or up to the first byte that is none; skip is
// what stood before them.
func number(b []byte, base rune, stop byte, skip int) (r rune, n int) {
	i := 0
	for ; i < len(b) && i < 10; i++ {
		c := b[i]
		if !(hexSet[c] && (base == 16 || c <= '9')) {
			break
		}
		if r = r*base + rune(digit(c)); r > utf8.MaxRune {
			return 0, 0
		}
	}
	if i == 0 {
		return 0, 0
	}
	if i < len(b) && b[i] == stop && stop != 0 {
		i++
	}
	return r, skip + i
}

// unescape appends what stands from start to end without its escapes, and for
// each byte where it came from.
func unescape(dst []byte, pos []int32, b []byte, start, end int) ([]byte, []int32) {
	for i := start; i < end; {
		c := b[i]
		if c != '%' && c != '\\' && c != '&' {
			dst, pos = append(dst, c), append(pos, int32(i))
			i++
			continue
		}
		r, n := escapeAt(b[i:end])
		before := len(dst)
		switch {
		case n == 0:
			dst, n = append(dst, c), 1
		case r < 0:
			dst = append(dst, byte(-r))
		default:
			dst = utf8.AppendRune(dst, r)
		}
		for range len(dst) - before {
			pos = append(pos, int32(i))
		}
		i += n
	}
	return dst, append(pos, int32(end))
}
