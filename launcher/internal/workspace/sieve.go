package workspace

import (
	"bytes"
	"io"
)

// sieve passes bytes on until one of the secrets would have passed whole.
type sieve struct {
	to      io.Writer
	secrets map[string][]byte
	longest int
	tail    []byte // the end of what has passed, where a secret may begin
}

// foundError names the secret that was found.
type foundError struct{ name string }

func (e *foundError) Error() string { return "the value of " + e.name + " was found" }

func newSieve(to io.Writer, secrets Secrets) *sieve {
	s := &sieve{to: to, secrets: map[string][]byte{}}
	for name, value := range secrets {
		if value != "" {
			s.secrets[name], s.longest = []byte(value), max(s.longest, len(value))
		}
	}
	return s
}

// Write implements [io.Writer].
func (s *sieve) Write(p []byte) (int, error) {
	if s.longest > 0 {
		seam := append(s.tail, p[:min(len(p), s.longest)]...)
		for name, value := range s.secrets {
			if bytes.Contains(seam, value) || bytes.Contains(p, value) {
				return 0, &foundError{name}
			}
		}
		if len(p) >= s.longest {
			s.tail = append(s.tail[:0], p[len(p)-s.longest:]...)
		} else {
			s.tail = append(s.tail, p...)
			s.tail = s.tail[max(0, len(s.tail)-s.longest):]
		}
	}
	return s.to.Write(p)
}
