package secretscan

import "bytes"

// maxUnescape bounds how often percent-encoding is taken off: twice encoded is
// seen in practice, more is somebody hiding.
const maxUnescape = 3

// FindEscaped looks for a secret in b as it stands and with its percent-encoding
// taken off, up to three layers deep. Broken escapes stay as they are.
func (s *Scanner) FindEscaped(b []byte) (Finding, bool) {
	for range maxUnescape {
		if f, ok := s.Find(b); ok {
			return f, true
		}
		plain, changed := unescape(b)
		if !changed {
			return Finding{}, false
		}
		b = plain
	}
	return s.Find(b)
}

func unescape(b []byte) (plain []byte, changed bool) {
	if bytes.IndexByte(b, '%') < 0 {
		return b, false
	}
	plain = make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) && hexSet[b[i+1]] && hexSet[b[i+2]] {
			plain = append(plain, digit(b[i+1])<<4|digit(b[i+2]))
			i, changed = i+2, true
			continue
		}
		plain = append(plain, b[i])
	}
	return plain, changed
}

func digit(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
