package route

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DefaultPort is the port of a host pattern that names none.
const DefaultPort = "443"

var (
	errHostEmpty   = errors.New("the host is empty")
	errHostDot     = errors.New("the host ends in a dot; write it without")
	errHostLong    = errors.New("the host is longer than 253 bytes, or a label of it longer than 63")
	errHostLabel   = errors.New("the host has an empty label or one that begins or ends with a hyphen")
	errHostBytes   = errors.New("the host holds a byte that no DNS name has")
	errHostLiteral = errors.New("the host is an address literal; use a name")
)

// Host returns host in lower case, or an error when it is anything but a plain
// DNS name: an address literal in any spelling (also 127.1 and 0x7f.1, which
// resolvers read as addresses), a name with a trailing dot, or one with bytes
// outside letters, digits, hyphen and underscore.
func Host(host string) (string, error) {
	switch {
	case host == "":
		return "", errHostEmpty
	case len(host) > 253:
		return "", errHostLong
	case host[len(host)-1] == '.':
		return "", errHostDot
	}
	lower, start := false, 0
	for i := 0; i <= len(host); i++ {
		if i < len(host) && host[i] != '.' {
			c := host[i]
			lower = lower || 'A' <= c && c <= 'Z'
			if !isHostByte(c) {
				return "", errHostBytes
			}
			continue
		}
		if err := checkLabel(host[start:i]); err != nil {
			return "", err
		}
		if i == len(host) && isNumeric(host[start:i]) {
			return "", errHostLiteral
		}
		start = i + 1
	}
	if lower {
		return strings.ToLower(host), nil
	}
	return host, nil
}

func isHostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func checkLabel(l string) error {
	switch {
	case l == "" || l[0] == '-' || l[len(l)-1] == '-':
		return errHostLabel
	case len(l) > 63:
		return errHostLong
	}
	return nil
}

// isNumeric reports whether a last label makes a host an IPv4 address by the
// "ends in a number" rule of the WHATWG URL standard.
func isNumeric(l string) bool {
	if hex, ok := strings.CutPrefix(strings.ToLower(l), "0x"); ok {
		_, err := strconv.ParseUint(hex, 16, 64)
		return hex == "" || err == nil
	}
	for i := range len(l) {
		if l[i] < '0' || l[i] > '9' {
			return false
		}
	}
	return true
}

// SplitAuthority splits host[:port] into a checked lower-case host and a port
// in its one spelling (1 to 65535, no leading zero).
func SplitAuthority(authority, defaultPort string) (host, port string, err error) {
	host, port = authority, defaultPort
	if strings.Contains(authority, ":") {
		if host, port, err = net.SplitHostPort(authority); err != nil {
			return "", "", errHostBytes
		}
	}
	if host, err = Host(host); err != nil {
		return "", "", err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", "", fmt.Errorf("the port %q is not a number from 1 to 65535", port)
	}
	return host, port, nil
}

// SplitPattern splits an allowlist entry: an authority, or "*." before one. A
// suffix needs two labels, so that "*.com" is not an allowlist.
func SplitPattern(pattern string) (host, port string, wildcard bool, err error) {
	rest, wildcard := strings.CutPrefix(pattern, "*.")
	if host, port, err = SplitAuthority(rest, DefaultPort); err != nil {
		return "", "", false, fmt.Errorf("the host pattern %q: %w", pattern, err)
	}
	if wildcard && !strings.Contains(host, ".") {
		return "", "", false, fmt.Errorf("the host pattern %q covers a whole top-level domain; name at least two labels after the star", pattern)
	}
	return host, port, wildcard, nil
}

// HostSet is a compiled list of host patterns. It is safe for concurrent use.
type HostSet struct {
	exact  map[hostPort]int
	suffix map[hostPort]int
}

type hostPort struct{ host, port string }

// NewHostSet compiles patterns. The number that [HostSet.Find] returns is an
// index into them; the first of equal patterns wins.
func NewHostSet(patterns []string) (*HostSet, error) {
	s := &HostSet{exact: map[hostPort]int{}, suffix: map[hostPort]int{}}
	for i, p := range patterns {
		host, port, wildcard, err := SplitPattern(p)
		if err != nil {
			return nil, err
		}
		m := s.exact
		if wildcard {
			m = s.suffix
		}
		if _, ok := m[hostPort{host, port}]; !ok {
			m[hostPort{host, port}] = i
		}
	}
	return s, nil
}

// Find returns the index of the pattern that takes host (as [Host] returns it)
// and port: an exact one before a wildcard, the longest suffix before shorter
// ones. A wildcard takes names below its suffix, never the suffix itself.
func (s *HostSet) Find(host, port string) (int, bool) {
	if i, ok := s.exact[hostPort{host, port}]; ok {
		return i, true
	}
	if len(s.suffix) == 0 {
		return 0, false
	}
	for {
		_, rest, ok := strings.Cut(host, ".")
		if !ok {
			return 0, false
		}
		if i, ok := s.suffix[hostPort{rest, port}]; ok {
			return i, true
		}
		host = rest
	}
}
