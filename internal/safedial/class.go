package safedial

import "net/netip"

// Class says what kind of network an address belongs to.
type Class string

// The classes. Only Public may be dialled without an entry of allow_private.
const (
	Public        Class = "public"
	Unspecified   Class = "unspecified"   // 0.0.0.0/8 and ::, which reach the local host on many systems
	Loopback      Class = "loopback"      // the machine itself
	Private       Class = "private"       // RFC 1918, and NAT64 prefixes of local use
	LinkLocal     Class = "link-local"    // includes 169.254.169.254
	Metadata      Class = "metadata"      // a cloud's metadata service that lives in public space
	CGNAT         Class = "cgnat"         // RFC 6598
	ULA           Class = "ula"           // unique local IPv6, and the site-local space before it
	Multicast     Class = "multicast"     // groups, never one peer
	Broadcast     Class = "broadcast"     // 255.255.255.255
	Documentation Class = "documentation" // addresses of examples
	Benchmarking  Class = "benchmarking"  // RFC 2544, RFC 5180
	Reserved      Class = "reserved"      // everything that IANA has not made ordinary unicast
	Invalid       Class = "invalid"       // the zero address
)

type block struct {
	prefix netip.Prefix
	class  Class
}

func blocks(class Class, prefixes ...string) []block {
	out := make([]block, len(prefixes))
	for i, p := range prefixes {
		out[i] = block{netip.MustParsePrefix(p), class}
	}
	return out
}

func join(lists ...[]block) []block {
	var out []block
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// The first block that contains the address decides, so exceptions come before
// what they are carved out of.
var blocks4 = join(
	blocks(Broadcast, "255.255.255.255/32"),
	blocks(Metadata, "168.63.129.16/32"), // Azure's wire server answers on a public address
	blocks(Unspecified, "0.0.0.0/8"),
	blocks(Private, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
	blocks(CGNAT, "100.64.0.0/10"),
	blocks(Loopback, "127.0.0.0/8"),
	blocks(LinkLocal, "169.254.0.0/16"),
	blocks(Documentation, "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
	blocks(Benchmarking, "198.18.0.0/15"),
	blocks(Multicast, "224.0.0.0/4"),
	// Protocol assignments, AS112 and AMT anycast, the retired 6to4 relay, class E.
	blocks(Reserved, "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24",
		"192.88.99.0/24", "192.175.48.0/24", "240.0.0.0/4"),
)

var blocks6 = join(
	blocks(Unspecified, "::/128"),
	blocks(Loopback, "::1/128"),
	blocks(Private, "64:ff9b:1::/48"),
	blocks(ULA, "fc00::/7", "fec0::/10"),
	blocks(LinkLocal, "fe80::/10"),
	blocks(Multicast, "ff00::/8"),
	blocks(Documentation, "2001:db8::/32", "3fff::/20"),
	blocks(Benchmarking, "2001:2::/48"),
	// Protocol assignments (ORCHID, AMT, AS112, drone ids, anycast) and AS112.
	blocks(Reserved, "2001::/23", "2620:4f:8000::/48"),
)

var (
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
	nat64          = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour      = netip.MustParsePrefix("2002::/16")
	teredo         = netip.MustParsePrefix("2001::/32")
)

// Classify says what addr is. It is pure: no interface, route or resolver has a
// say. An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4,
// Teredo, ISATAP) is public only if every address that it carries is.
func Classify(addr netip.Addr) Class {
	if !addr.IsValid() {
		return Invalid
	}
	zone := addr.Zone()
	addr = addr.WithZone("").Unmap() // a prefix never contains an address with a zone
	if addr.Is4() {
		return lookup(blocks4, addr, Public)
	}
	c := classify6(addr)
	if c == Public && zone != "" {
		return Reserved // a global address has no zone; somebody is playing with spellings
	}
	return c
}

func classify6(addr netip.Addr) Class {
	for _, inner := range embedded(addr) {
		if c := lookup(blocks4, inner, Public); c != Public {
			return c
		}
	}
	switch {
	case nat64.Contains(addr), teredo.Contains(addr):
		return Public // decided by what it carries
	case globalUnicast6.Contains(addr):
		return lookup(blocks6, addr, Public)
	default:
		return lookup(blocks6, addr, Reserved)
	}
}

// embedded lists the IPv4 addresses that an IPv6 address leads to.
func embedded(addr netip.Addr) []netip.Addr {
	b := addr.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case nat64.Contains(addr):
		return []netip.Addr{at(12)}
	case sixToFour.Contains(addr):
		return []netip.Addr{at(2)}
	case teredo.Contains(addr): // the server in clear, the client inverted
		for i := 12; i < 16; i++ {
			b[i] ^= 0xff
		}
		return []netip.Addr{at(4), at(12)}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, in any prefix
		return []netip.Addr{at(12)}
	}
	return nil
}

func lookup(list []block, addr netip.Addr, otherwise Class) Class {
	for _, b := range list {
		if b.prefix.Contains(addr) {
			return b.class
		}
	}
	return otherwise
}
