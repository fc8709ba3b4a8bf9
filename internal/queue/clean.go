package queue

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text fit for a terminal and a reader: control characters (C0, C1,
// DEL, escape), characters that turn the direction of reading or take no room,
// and bytes that are no UTF-8 become "�". Newline and tab stay.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError, invisible(r):
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// invisible reports whether a rune could act on a terminal, hide, or make a text
// read otherwise than it is.
func invisible(r rune) bool {
	switch {
	case r == ' ':
		return false
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Zs):
		return true // controls, formats (bidi, zero width, tags), private use, odd spaces
	case unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return true // fillers that take no room
	}
	return !unicode.IsPrint(r) // unassigned
}
