package safedial

import (
	"fmt"
	"net/netip"
	"strings"
)

// exceptions is allow_private, parsed.
type exceptions struct {
	networks []netip.Prefix
	names    map[string]bool
	suffixes []string // ".corp.example"
}

func parseExceptions(entries []string) (exceptions, error) {
	x := exceptions{names: make(map[string]bool)}
	for _, e := range entries {
		if strings.Contains(e, "/") {
			p, err := netip.ParsePrefix(e)
			if err != nil {
				return x, fmt.Errorf("allow_private: %q is not a network such as 10.1.0.0/16", e)
			}
			if p != p.Masked() {
				return x, fmt.Errorf("allow_private: %q has bits beyond its prefix; write %s", e, p.Masked())
			}
			x.networks = append(x.networks, p)
			continue
		}
		if a, err := netip.ParseAddr(e); err == nil {
			x.networks = append(x.networks, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		name := strings.ToLower(e)
		suffix, wild := strings.CutPrefix(name, "*")
		if name == "" || strings.ContainsAny(name[1:], "*") || strings.ContainsAny(name, " \t:@") || wild && !(len(suffix) > 1 && suffix[0] == '.') {
			return x, fmt.Errorf("allow_private: %q is neither a host name, nor *.suffix, nor a network", e)
		}
		if wild {
			x.suffixes = append(x.suffixes, suffix)
		} else {
			x.names[name] = true
		}
	}
	return x, nil
}

// allow reports whether an address that is not public may be dialled. A network
// covers whatever lies in it. A name covers the networks that people run
// servers in; link-local addresses need their network spelled out, because a
// name that leads to the metadata service is an attack far more often than a
// wish.
func (x exceptions) allow(host string, addr netip.Addr, c Class) bool {
	switch c {
	case Unspecified, Multicast, Broadcast, Invalid:
		return false
	}
	for _, n := range x.networks {
		if n.Contains(addr) {
			return true
		}
	}
	if c == LinkLocal || c == Metadata {
		return false
	}
	if x.names[host] {
		return true
	}
	for _, s := range x.suffixes {
		if len(host) > len(s) && strings.HasSuffix(host, s) {
			return true
		}
	}
	return false
}
