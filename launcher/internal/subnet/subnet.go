// Package subnet picks the addresses of a bottle: a /27 out of a pool, by a hash
// of its identity, so that a bottle keeps its addresses over restarts and two
// bottles hardly ever want the same ones; blocks that the engine's networks or
// the host's routes already use are skipped.
package subnet

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"net/netip"
	"os"
	"strings"
)

// DefaultPool is the range that bottles take their addresses from.
const DefaultPool = "10.213.0.0/16"

// PoolVariable is the environment variable that names another one.
const PoolVariable = "BOTTLE_SUBNET_POOL"

// blockBits is the size of one bottle's share.
const blockBits = 27

// ParsePool reads the pool, "" being the default.
func ParsePool(s string) (netip.Prefix, error) {
	if s == "" {
		s = DefaultPool
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p.Bits() > blockBits || p.Bits() < 8 {
		return netip.Prefix{}, fmt.Errorf("%s=%q is not an IPv4 network between /8 and /%d, such as %s", PoolVariable, s, blockBits, DefaultPool)
	}
	return p.Masked(), nil
}

// Pick returns the block of an identity: the first free one from its hash on.
func Pick(identity string, pool netip.Prefix, used []netip.Prefix) (netip.Prefix, error) {
	n := uint32(1) << (blockBits - pool.Bits())
	sum := sha256.Sum256([]byte(identity))
	start := binary.BigEndian.Uint32(sum[:4]) % n
	for i := range n {
		b := block(pool, (start+i)%n)
		if !overlaps(b, used) {
			return b, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("every block of %s is in use by a network or a route of this host; set %s to a free range", pool, PoolVariable)
}

// maxClaims bounds how often another block is tried.
const maxClaims = 8

// Claim takes a block for an identity. Launchers that start at the same moment do
// not know of each other, but of one arbiter, which the engine is: claim asks it for
// a block, and reports whether somebody else took it first, with the arbiter's
// words; then the next one is tried.
func Claim(identity string, pool netip.Prefix, used []netip.Prefix, claim func(netip.Prefix) (taken bool, err error)) error {
	for try := 1; ; try++ {
		b, err := Pick(identity, pool, used)
		if err != nil {
			return err
		}
		taken, err := claim(b)
		if !taken || try == maxClaims {
			return err
		}
		used = append(used, b)
	}
}

func block(pool netip.Prefix, i uint32) netip.Prefix {
	a := pool.Addr().As4()
	v := binary.BigEndian.Uint32(a[:]) + i<<(32-blockBits)
	binary.BigEndian.PutUint32(a[:], v)
	return netip.PrefixFrom(netip.AddrFrom4(a), blockBits)
}

func overlaps(b netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if u.Overlaps(b) {
			return true
		}
	}
	return false
}

// HostRoutes lists the IPv4 networks that this host routes, the default route
// left out. Where the kernel has no such list it is empty.
func HostRoutes() []netip.Prefix {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseRoutes(f)
}

// parseRoutes reads the format of /proc/net/route: the second field is the
// destination, the eighth the mask, both in the host's byte order.
func parseRoutes(r io.Reader) []netip.Prefix {
	var out []netip.Prefix
	for sc := bufio.NewScanner(r); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) < 8 {
			continue
		}
		dst, err1 := hex.DecodeString(f[1])
		mask, err2 := hex.DecodeString(f[7])
		if err1 != nil || err2 != nil || len(dst) != 4 || len(mask) != 4 {
			continue // the heading
		}
		// The digits show a number whose bytes lie in memory in network order.
		var a, m [4]byte
		binary.NativeEndian.PutUint32(a[:], binary.BigEndian.Uint32(dst))
		binary.NativeEndian.PutUint32(m[:], binary.BigEndian.Uint32(mask))
		bits := bits.LeadingZeros32(^binary.BigEndian.Uint32(m[:]))
		if bits > 0 {
			out = append(out, netip.PrefixFrom(netip.AddrFrom4(a), bits))
		}
	}
	return out
}
