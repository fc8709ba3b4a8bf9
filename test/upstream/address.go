package upstream

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
)

// documentation are the networks of RFC 5737, which belong to nobody.
var documentation = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
}

// Borrow puts a documentation address on the loopback interface. The function
// that it returns takes it away again, if it was not there before. It needs root
// or a sudo that does not ask.
func Borrow(address string) (giveBack func() error, err error) {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return nil, fmt.Errorf("the address to borrow: %w", err)
	}
	if !isDocumentation(addr) {
		return nil, fmt.Errorf("%s is not a documentation address, so it may belong to somebody", addr)
	}
	there, err := onInterface(addr)
	if err != nil {
		return nil, err
	}
	if there {
		return func() error { return nil }, nil
	}
	if err := ip("addr", "add", addr.String()+"/32", "dev", "lo"); err != nil {
		return nil, err
	}
	return func() error { return ip("addr", "del", addr.String()+"/32", "dev", "lo") }, nil
}

func isDocumentation(addr netip.Addr) bool {
	for _, p := range documentation {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func onInterface(addr netip.Addr) (bool, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("cannot list this machine's addresses: %w", err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == addr {
			return true, nil
		}
	}
	return false, nil
}

func ip(args ...string) error {
	argv := append([]string{"ip"}, args...)
	if os.Geteuid() != 0 {
		argv = append([]string{"sudo", "-n"}, argv...)
	}
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v failed, and an address on the loopback interface needs root: %s: %w", argv, bytes.TrimSpace(out), err)
	}
	return nil
}
