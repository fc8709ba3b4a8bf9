package secretscan

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// lookAlikes takes text back to ASCII: compatibility forms (full-width, styled
// and circled letters, by NFKC), letters of other scripts that look like Latin
// ones, and characters that show as nothing.
func (j *job) lookAlikes(v *view) (decided int) {
	decided = len(v.b)
	if v.name == "unicode" {
		return decided
	}
	at := nextLookAlike(v.b, max(0, v.from-escapeGap))
	for at >= 0 {
		start, last := max(0, at-escapeGap), at
		for {
			if at = nextLookAlike(v.b, last+utf8.UTFMax-1); at < 0 || at-last > escapeGap || at-start > piece {
				break
			}
			last = at
		}
		end := min(len(v.b), last+escapeGap)
		if at >= 0 && at-last <= escapeGap {
			end = min(len(v.b), last+overlap)
		}
		s := &j.scratch[v.depth+1]
		s.out, s.pos = fold(s.out[:0], s.pos[:0], v.b, start, end)
		c := j.child(v, "unicode", s.out, start, end)
		c.pos = s.pos
		decided = min(decided, j.nested(c))
		if j.found {
			return decided
		}
	}
	return decided
}

// nextLookAlike returns the place of the first character from i on that folds,
// or -1. Text that is ASCII, and bytes that are no character of UTF-8, are skipped
// eight at a time.
func nextLookAlike(b []byte, i int) int {
	const high = 0x8080808080808080
	var t *foldTable
	for ; i+10 <= len(b); i += 8 {
		lead := binary.LittleEndian.Uint64(b[i:])
		if lead&high == 0 {
			continue
		}
		second, third := binary.LittleEndian.Uint64(b[i+1:]), binary.LittleEndian.Uint64(b[i+2:])
		// 11…, followed by 10…, and if it is 111… by another.
		m := lead & (lead << 1) & second &^ (second << 1) & (^(lead << 2) | third&^(third<<1)) & high
		if m == 0 {
			continue
		}
		if t == nil {
			t = folds()
		}
		for ; m != 0; m &= m - 1 {
			if at := i + bits.TrailingZeros64(m)/8; t.foldsAt(b, at) {
				return at
			}
		}
	}
	for ; i < len(b); i++ {
		if b[i] >= utf8.RuneSelf && folds().foldsAt(b, i) {
			return i
		}
	}
	return -1
}

// foldsAt reports whether the character at a place folds.
func (t *foldTable) foldsAt(b []byte, i int) bool {
	c := b[i]
	if c < 0xe0 { // of two bytes, or none
		if c < 0xc2 || i+1 >= len(b) || b[i+1]&0xc0 != 0x80 {
			return false
		}
		r := rune(c&0x1f)<<6 | rune(b[i+1]&0x3f)
		return t.low[r>>6]&(1<<(r&63)) != 0 && textAround(b, i)
	}
	r, n := utf8.DecodeRune(b[i:])
	return n > 1 && t.has(r) && textAround(b, i)
}

// textAround tells a letter of a text from a coincidence in a file: what stands
// next to it on both sides is text, too.
func textAround(b []byte, at int) bool {
	const near = 12
	for _, c := range b[max(0, at-near):at] {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c > 0xf4 {
			return false
		}
	}
	for i := at; i < min(len(b), at+near); {
		if b[i] < utf8.RuneSelf {
			if !isText(b[i]) {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 && len(b)-i >= utf8.UTFMax {
			return false
		}
		i += n
	}
	return true
}

// fold appends what stands from start to end in ASCII, as far as that goes.
func fold(dst []byte, pos []int32, b []byte, start, end int) ([]byte, []int32) {
	t := folds()
	for i := start; i < end; {
		if b[i] < utf8.RuneSelf {
			dst, pos = append(dst, b[i]), append(pos, int32(i))
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:end])
		before := len(dst)
		if n > 1 && t.has(r) {
			dst = append(dst, t.to[r]...)
		} else {
			dst = append(dst, b[i:i+n]...)
		}
		for range len(dst) - before {
			pos = append(pos, int32(i))
		}
		i += n
	}
	return dst, append(pos, int32(end))
}

// unseen are the characters that show as nothing, beside the ranges of variation
// selectors and tags.
const unseen = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f" +
	"\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffa\ufffb"

// confusable are letters of other scripts by the Latin one that they look like.
const confusable = "аaеeоoрpсcуyхxіiјjѕsԁdԛqԝwһhӏlАAВBЕEКKМMНHОOРPСCТTУYХXІIЈJЅSԌGԚQԜW" +
	"αaοoνvρpιiκkυuΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXϲcϳj" +
	"ɑaɡgıiʟLꞮIⅼlᴄcᴏoᴠvᴡwᴢz‐-‑-‒-–-—-−-﹘-⁃-․.⁄/∕/∶:＿_"

// foldTable maps what folds to ASCII. Most of what does not is known by a bit.
type foldTable struct {
	low [1 << 16 / 64]uint64 // runes of two and three bytes
	to  map[rune]string
}

func (t *foldTable) has(r rune) bool {
	if r < 1<<16 {
		return t.low[r>>6]&(1<<(r&63)) != 0
	}
	_, ok := t.to[r]
	return ok
}

// folds is built on first use.
var folds = sync.OnceValue(func() *foldTable {
	m := map[rune]string{}
	for _, r := range unseen {
		m[r] = ""
	}
	for r := rune(0xfe00); r <= 0xfe0f; r++ {
		m[r] = ""
	}
	for r := rune(0xe0000); r <= 0xe007f; r++ {
		m[r] = ""
	}
	for _, span := range [][2]rune{{0x1d2c, 0x1dbf}, {0x2000, 0x2fff}, {0x3000, 0x3000}, {0x3200, 0x33ff}, {0xfb00, 0xfb06}, {0xfe4d, 0xff5e}, {0x1d400, 0x1d7ff}, {0x1f100, 0x1f1ff}} {
		for r := span[0]; r <= span[1]; r++ {
			if s := norm.NFKC.String(string(r)); isASCII(s) {
				m[r] = s
			}
		}
	}
	pairs := []rune(confusable)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = string(pairs[i+1])
	}
	t := &foldTable{to: m}
	for r := range m {
		if r < 1<<16 {
			t.low[r>>6] |= 1 << (r & 63)
		}
	}
	return t
})

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return s != ""
}
