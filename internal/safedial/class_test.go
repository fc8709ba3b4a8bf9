package safedial

import (
	"net/netip"
	"testing"
)

// Every row of IANA's special-purpose registries for IPv4 and IPv6 (first, and
// where it is a range also last, address), the multicast space, and the forms
// that carry an IPv4 address.
func TestClassify(t *testing.T) {
	tests := []struct {
		want  Class
		addrs []string
	}{
		{Public, []string{"8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
			"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
			"198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "2606:4700:4700::1111", "2001:4860:4860::8888", "2400:cb00::1",
			"2a00:1450:4001::1", "2001:200::1", "3ffe::1"}},
		{Unspecified, []string{"0.0.0.0", "0.1.2.3", "0.255.255.255", "::"}},
		{Loopback, []string{"127.0.0.1", "127.255.255.255", "::1"}},
		{Private, []string{"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "64:ff9b:1::808:808"}},
		{LinkLocal, []string{"169.254.0.0", "169.254.169.254", "169.254.255.255", "fe80::1", "febf::1", "fe80::1%eth0"}},
		{Metadata, []string{"168.63.129.16"}},
		{CGNAT, []string{"100.64.0.0", "100.100.100.200", "100.127.255.255"}},
		{ULA, []string{"fc00::1", "fd00:ec2::254", "fdff::1", "fec0::1"}},
		{Multicast, []string{"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"}},
		{Broadcast, []string{"255.255.255.255"}},
		{Documentation, []string{"192.0.2.1", "198.51.100.1", "203.0.113.255", "2001:db8::1", "3fff::1", "3fff:fff::1"}},
		{Benchmarking, []string{"198.18.0.0", "198.19.255.255", "2001:2::1"}},
		{Reserved, []string{"192.0.0.0", "192.0.0.8", "192.0.0.9", "192.0.0.10", "192.0.0.170", "192.0.0.192", "192.31.196.1", "192.52.193.1",
			"192.88.99.1", "192.175.48.1", "240.0.0.0", "255.255.255.254", "100::1", "100:0:0:1::1", "2001:1::1", "2001:3::1",
			"2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff::1", "2620:4f:8000::1", "5f00::1", "4000::1", "::2",
			"::8.8.8.8", "::ffff:0:808:808", "1::1", "e000::1", "2606:4700::1%eth0"}},
		{Invalid, []string{""}},
		// An address within an address.
		{Loopback, []string{"::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "2001:0:808:808::80ff:fffe", "2001:0:7f00:1::f7f7:f7f7", "2606:4700::5efe:7f00:1"}},
		{LinkLocal, []string{"::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:169.254.169.254%x"}},
		{Private, []string{"::ffff:10.0.0.1", "64:ff9b::c0a8:1", "2002:a00:1::1", "2606:4700::200:5efe:a00:1"}},
		{Public, []string{"::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7"}},
	}
	for _, tt := range tests {
		for _, s := range tt.addrs {
			var addr netip.Addr
			if s != "" {
				addr = netip.MustParseAddr(s)
			}
			if got := Classify(addr); got != tt.want {
				t.Errorf("Classify(%s) = %s, want %s", s, got, tt.want)
			}
		}
	}
}

// Whatever the address, the standard library's predicates and ours must not
// disagree in the dangerous direction, and spellings must not matter.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "8.8.8.8", "64:ff9b::a00:1", "fe80::1", "2002:7f00:1::"} {
		a := netip.MustParseAddr(s).As16()
		f.Add(a[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		c := Classify(addr)
		if u := addr.Unmap(); c != Classify(u) {
			t.Fatalf("%s is %s, unmapped it is %s", addr, c, Classify(u))
		} else if c == Public && (u.IsPrivate() || u.IsLoopback() || u.IsLinkLocalUnicast() || u.IsMulticast() || u.IsUnspecified() || !u.IsGlobalUnicast()) {
			t.Fatalf("%s is taken for public", addr)
		}
		if addr.Is4() {
			six := netip.AddrFrom16(addr.As16())
			if Classify(six) != c {
				t.Fatalf("%s is %s, as %s it is %s", addr, c, six, Classify(six))
			}
		}
	})
}
