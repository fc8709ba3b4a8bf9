package hop

import "strings"

// validField reports whether a header field can be sent as it is: a token, and
// a value without control bytes but the tab (RFC 9110, 5.1 and 5.5).
func validField(name string, values []string) bool {
	if name == "" || strings.IndexFunc(name, notToken) >= 0 {
		return false
	}
	for _, v := range values {
		for i := range len(v) {
			if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
				return false
			}
		}
	}
	return true
}

func notToken(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
}
