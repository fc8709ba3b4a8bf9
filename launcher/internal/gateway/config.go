package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Bounds of a link's MTU: what IPv4 needs, and what a frame can hold.
const (
	minMTU = 576
	maxMTU = 65520
)

// network is a configuration, understood.
type network struct {
	guard    *Guard
	subnet   netip.Prefix
	served   []netip.Addr
	forwards []forward
	names    map[string]string
}

// forward is one sidecar port.
type forward struct {
	name   string
	listen netip.AddrPort
	// network and address are where to dial.
	network, address string
}

func basics(c *wire.Gateway) daemon.Basics {
	return daemon.Basics{Version: c.Bottle.Version, Bottle: c.Bottle.Identity, Admin: c.Bottle.Admin, Audit: c.Bottle.Audit}
}

func validate(doc *wire.Doc, c *wire.Gateway) error {
	if _, err := understand(doc, c); err != nil {
		return err
	}
	return validateInterfaces(doc, c.Interfaces)
}

func validateInterfaces(doc *wire.Doc, i wire.GatewayInterfaces) error {
	n := 0
	for _, set := range []bool{i.Qemu != "", i.Vfkit != "", i.Tap != "", i.FD != 0} {
		if set {
			n++
		}
	}
	if n != 1 {
		return doc.Errorf("interfaces", "interfaces must name one of qemu, vfkit, tap and fd, because a gateway serves one guest; it names %d", n)
	}
	for _, s := range []struct{ key, scheme, value string }{{"interfaces.qemu", "unix", i.Qemu}, {"interfaces.vfkit", "unixgram", i.Vfkit}} {
		if s.value == "" {
			continue
		}
		if _, err := socketPath(s.scheme, s.value); err != nil {
			return doc.Errorf(s.key, "%s: %v", s.key, err)
		}
	}
	if strings.ContainsAny(i.Tap, "/ %") || len(i.Tap) > 15 {
		return doc.Errorf("interfaces.tap", "interfaces.tap: %q cannot name a device", i.Tap)
	}
	if i.FD < 0 || i.FD > 0 && i.FD < 3 {
		return doc.Errorf("interfaces.fd", "interfaces.fd must be 3 or more, after the standard streams")
	}
	return nil
}

// socketPath takes scheme:///path to pieces.
func socketPath(scheme, raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != scheme || u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
		return "", fmt.Errorf("%q is not %s:///absolute/path", raw, scheme)
	}
	return u.Path, nil
}

// understand judges a configuration. It reports a fault with its place in doc.
func understand(doc *wire.Doc, c *wire.Gateway) (*network, error) {
	s := c.Stack
	subnet, err := netip.ParsePrefix(s.Subnet)
	if err != nil || !subnet.Addr().Is4() || subnet != subnet.Masked() || subnet.Bits() > 30 || subnet.Bits() < 8 {
		return nil, doc.Errorf("stack.subnet", "stack.subnet must be an IPv4 network between /8 and /30, such as 10.213.1.0/28, not %q", s.Subnet)
	}
	if s.MTU < minMTU || s.MTU > maxMTU {
		return nil, doc.Errorf("stack.mtu", "stack.mtu must be between %d and %d, not %d", minMTU, maxMTU, s.MTU)
	}
	n := &network{subnet: subnet, names: map[string]string{}, guard: &Guard{
		MTU: s.MTU, Served: map[netip.Addr]bool{}, Ports: map[netip.AddrPort]bool{},
	}}
	if n.guard.Gateway, err = hostIn(subnet, s.GatewayIP); err != nil {
		return nil, doc.Errorf("stack.gatewayIP", "stack.gatewayIP: %v", err)
	}
	n.serve(n.guard.Gateway)
	for i, a := range s.GatewayVirtualIPs {
		ip, err := hostIn(subnet, a)
		if err != nil {
			return nil, doc.Errorf(fmt.Sprintf("stack.gatewayVirtualIPs[%d]", i), "stack.gatewayVirtualIPs[%d]: %v", i, err)
		}
		n.serve(ip)
	}
	if err := n.ends(doc, c); err != nil {
		return nil, err
	}
	if err := n.zones(doc, s.DNS); err != nil {
		return nil, err
	}
	return n, n.ports(doc, c.Bottle.Forwards)
}

func (n *network) serve(a netip.Addr) {
	if !n.guard.Served[a] {
		n.guard.Served[a] = true
		n.served = append(n.served, a)
	}
}

// hostIn reads the address of a host in a subnet.
func hostIn(subnet netip.Prefix, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return a, fmt.Errorf("%q is not an IPv4 address", s)
	}
	if !subnet.Contains(a) || a == subnet.Addr() || !subnet.Contains(a.Next()) {
		return a, fmt.Errorf("%s is not the address of a host in %s", s, subnet)
	}
	return a, nil
}

// ends reads the two ends of the link.
func (n *network) ends(doc *wire.Doc, c *wire.Gateway) (err error) {
	if n.guard.GatewayMAC, err = hardware(c.Stack.GatewayMacAddress); err != nil {
		return doc.Errorf("stack.gatewayMacAddress", "stack.gatewayMacAddress: %v", err)
	}
	if n.guard.Guest, err = hostIn(n.subnet, c.Bottle.Guest); err != nil {
		return doc.Errorf("bottle.guest", "bottle.guest: %v", err)
	}
	if n.guard.Served[n.guard.Guest] {
		return doc.Errorf("bottle.guest", "bottle.guest: %s is an address of the gateway", c.Bottle.Guest)
	}
	lease, ok := c.Stack.DHCPStaticLeases[c.Bottle.Guest]
	if !ok || len(c.Stack.DHCPStaticLeases) != 1 {
		return doc.Errorf("stack.dhcpStaticLeases", "stack.dhcpStaticLeases must have one entry, which maps %s to the guest's hardware address", c.Bottle.Guest)
	}
	if n.guard.GuestMAC, err = hardware(lease); err != nil {
		return doc.Errorf("stack.dhcpStaticLeases", "stack.dhcpStaticLeases: %v", err)
	}
	if n.guard.GuestMAC == n.guard.GatewayMAC {
		return doc.Errorf("stack.gatewayMacAddress", "stack.gatewayMacAddress is the guest's")
	}
	return nil
}

// hardware reads the address of a card, which is not one of a group.
func hardware(s string) (MAC, error) {
	a, err := net.ParseMAC(s)
	if err != nil || len(a) != 6 || a[0]&1 != 0 || MAC(a) == (MAC{}) {
		return MAC{}, fmt.Errorf("%q is not the hardware address of a network card", s)
	}
	return MAC(a), nil
}

func (n *network) zones(doc *wire.Doc, zones []wire.GatewayZone) error {
	for i, z := range zones {
		at := fmt.Sprintf("stack.dns[%d]", i)
		name, dotted := strings.CutSuffix(z.Name, ".")
		if !dotted || name == "" || strings.ToLower(name) != name {
			return doc.Errorf(at+".name", "%s.name must be a name in lower case with a dot at its end, such as egress., not %q", at, z.Name)
		}
		a, err := netip.ParseAddr(z.DefaultIP)
		if err != nil || !n.guard.Served[a] {
			return doc.Errorf(at+".defaultIP", "%s.defaultIP must be gatewayIP or one of gatewayVirtualIPs, not %q", at, z.DefaultIP)
		}
		n.names[name] = z.DefaultIP
	}
	return nil
}

func (n *network) ports(doc *wire.Doc, forwards []wire.GatewayForward) error {
	for i, f := range forwards {
		at := fmt.Sprintf("bottle.forwards[%d]", i)
		listen, err := netip.ParseAddrPort(f.Listen)
		if err != nil || listen.Port() == 0 || !n.guard.Served[listen.Addr()] {
			return doc.Errorf(at+".listen", "%s.listen must be a port of gatewayIP or of one of gatewayVirtualIPs, not %q", at, f.Listen)
		}
		if n.guard.Ports[listen] || listen.Addr() == n.guard.Gateway && listen.Port() == portDNS {
			return doc.Errorf(at+".listen", "%s.listen: %s is taken already", at, listen)
		}
		to := forward{name: f.Name, listen: listen, network: "tcp", address: f.Dial}
		if path, ok := strings.CutPrefix(f.Dial, "unix:"); ok {
			to.network, to.address = "unix", path
		}
		if err := to.check(); err != nil {
			return doc.Errorf(at+".dial", "%s.dial: %v", at, err)
		}
		n.guard.Ports[listen] = true
		n.forwards = append(n.forwards, to)
	}
	n.guard.Ports[netip.AddrPortFrom(n.guard.Gateway, portDNS)] = true
	slices.SortFunc(n.forwards, func(a, b forward) int { return a.listen.Compare(b.listen) })
	return nil
}

// check refuses a target that is a name: nothing is resolved for a guest.
func (f forward) check() error {
	if f.network == "unix" {
		if !filepath.IsAbs(f.address) {
			return fmt.Errorf("%q is not the absolute path of a socket", f.address)
		}
		return nil
	}
	a, err := netip.ParseAddrPort(f.address)
	if err != nil || a.Port() == 0 || a.Addr().IsUnspecified() {
		return fmt.Errorf("%q is neither address:port nor unix:/path", f.address)
	}
	return nil
}
