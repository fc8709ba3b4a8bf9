package route

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Errors of [CanonicalPath]. Each is a reason for which servers and proxies are
// known to disagree about which resource a path names.
var (
	errPathStart     = errors.New("the path does not begin with a slash")
	errPathByte      = errors.New("the path holds a control byte, a space, a backslash or a byte outside ASCII")
	errPathEscape    = errors.New("the path holds a percent sign that is not a complete escape")
	errPathSeparator = errors.New("the path holds an encoded slash, backslash or control byte")
	errPathDouble    = errors.New("the path is percent-encoded twice")
	errPathDots      = errors.New("the path holds a dot segment")
	errPathEmpty     = errors.New("the path holds an empty segment")
	errPathUTF8      = errors.New("the path is not UTF-8 after decoding")
)

// CanonicalPath returns the one spelling of an escaped path (RFC 3986, 6.2.2:
// unreserved bytes bare, hexadecimal digits in upper case; what may not stand
// bare is encoded), or an error when servers could read the path in two ways:
// "..", ".;", "//", "\", "%2f", "%5c", "%00", "%252e" and their like. It
// returns its argument without allocating when that is canonical already.
func CanonicalPath(raw string) (string, error) {
	path, slashes, err := PathWithSlashes(raw)
	if err == nil && slashes {
		return "", errPathSeparator
	}
	return path, err
}

// PathWithSlashes is [CanonicalPath] for routes that take encoded slashes, as
// package registries use them in "@scope%2fname". It reports whether there are
// any. What it returns holds no dot and no empty segment whether a server takes
// "%2F" for a slash or not.
func PathWithSlashes(raw string) (path string, slashes bool, err error) {
	if raw == "" || raw[0] != '/' {
		return "", false, errPathStart
	}
	canonical, ascii := true, true
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '?' || c == '#' {
			return "", false, errPathByte
		}
		if c != '%' {
			canonical = canonical && isPathByte(c)
			continue
		}
		b, ok := unhex(raw, i+1)
		if !ok {
			return "", false, errPathEscape
		}
		if err := checkEscaped(raw, i, b); err != nil {
			return "", false, err
		}
		slashes = slashes || b == '/'
		ascii = ascii && b < 0x80
		canonical = canonical && !isUnreserved(b) && isUpperHex(raw[i+1]) && isUpperHex(raw[i+2])
		i += 2
	}
	if !canonical {
		return PathWithSlashes(respell(raw)) // again: bare digits may complete an escape
	}
	if !ascii && !isUTF8(raw) { // overlong spellings of dots and slashes, too
		return "", false, errPathUTF8
	}
	if slashes {
		if err := checkSegments(BareSlashes(raw)); err != nil {
			return "", false, err
		}
	}
	return raw, slashes, checkSegments(raw)
}

// BareSlashes returns a canonical path as a server reads it that takes an
// encoded slash for a slash.
func BareSlashes(path string) string { return strings.ReplaceAll(path, "%2F", "/") }

// checkEscaped judges the byte b that is escaped at raw[i:i+3].
func checkEscaped(raw string, i int, b byte) error {
	switch {
	case b < 0x20 || b == 0x7f || b == '\\':
		return errPathSeparator
	case b == '%':
		if _, ok := unhex(raw, i+3); ok {
			return errPathDouble
		}
	}
	return nil
}

// respell decodes unreserved bytes, encodes the printable ones that RFC 3986
// does not allow bare, and puts escapes in upper case.
func respell(raw string) string {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		if c := raw[i]; c != '%' {
			if isPathByte(c) {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
			continue
		}
		if c, _ := unhex(raw, i+1); isUnreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(raw[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

// checkSegments refuses dot segments, with or without parameters (some servers
// drop ";x" before they resolve the dots), and empty segments.
func checkSegments(p string) error {
	for rest := p[1:]; ; {
		seg, tail, more := strings.Cut(rest, "/")
		if seg == "" && more {
			return errPathEmpty
		}
		name, _, _ := strings.Cut(seg, ";")
		if i := strings.Index(name, "%3B"); i >= 0 {
			name = name[:i]
		}
		for strings.HasSuffix(name, "%20") { // some file systems drop them
			name = name[:len(name)-3]
		}
		if name == "." || name == ".." {
			return errPathDots
		}
		if !more {
			return nil
		}
		rest = tail
	}
}

func isUTF8(raw string) bool {
	plain, err := url.PathUnescape(raw)
	return err == nil && utf8.ValidString(plain)
}

func unhex(s string, i int) (byte, bool) {
	if i+1 >= len(s) {
		return 0, false
	}
	hi, ok1 := hexDigit(s[i])
	lo, ok2 := hexDigit(s[i+1])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// isPathByte reports whether a byte may stand bare in a path: pchar of RFC 3986
// and the slash.
func isPathByte(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("/!$&'()*+,;=:@", c) >= 0
}

func isUpperHex(c byte) bool { return c < 'a' }

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
