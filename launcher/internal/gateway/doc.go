// Package gateway is the whole network of one virtual machine: a link with one
// guest on it, and behind it nothing but the ports of the bottle's sidecars.
//
// gvproxy, whose configuration format this reads, carries everything and lets
// its operator forward ports. Here it is the other way round. Every frame of the
// guest is judged by a [Guard] before any network stack sees it: it must come
// from the guest's own addresses, and be ARP for an address that is served, a
// question to the resolver, DHCP, or TCP to a forwarded port. TCP to anywhere
// else is answered with a reset that the guard makes by itself; all the rest is
// dropped. Both are audited. What passes reaches a small stack of gVisor's with
// one listener a forward, which dials that forward's target and no other.
//
// The switch of gvisor-tap-vsock (pkg/tap) is not used. For a hostile guest it
// reserves as many bytes as a frame's header claims (up to 4 GiB), fails on
// frames below 14 bytes, remembers every hardware address that it is shown, and
// holds its locks while a guest does not read. [Link] has none of these: a frame
// longer than the link's is dropped without a byte reserved for it, nothing is
// learned, and what the guest does not take is dropped as a wire would drop it.
//
// One process serves one guest. It holds no secret and, where the launcher runs
// it, sits on a network whose other members are the sidecars alone.
package gateway
