package guestinit

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/launcher/internal/netcard"
)

// network brings the card up, without IPv6 and ICMP sockets, as in a container.
func network() error {
	for file, value := range map[string]string{
		"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1", "net/ipv4/ping_group_range": "1 0",
		"kernel/unprivileged_bpf_disabled": "1", "kernel/dmesg_restrict": "1",
		"user/max_user_namespaces": "0", // in which a user is root, with all of the kernel before them
	} {
		if err := os.WriteFile("/proc/sys/"+file, []byte(value), 0); err != nil && !os.IsNotExist(err) && !strings.Contains(file, "bpf") {
			return fmt.Errorf("cannot set %s: %w", file, err)
		}
	}
	card, err := wait("the network card", func() (string, error) {
		found, _ := filepath.Glob("/sys/class/net/e*")
		if len(found) != 1 {
			return "", fmt.Errorf("there are %d", len(found))
		}
		return filepath.Base(found[0]), nil
	})
	if err != nil {
		return err
	}
	address, err := netip.ParsePrefix(spec.Network.Address)
	if err != nil {
		return err
	}
	gateway, err := netip.ParseAddr(spec.Network.Gateway)
	if err != nil {
		return err
	}
	if err := netcard.Configure("lo", netip.MustParsePrefix("127.0.0.1/8"), 0); err != nil {
		return err
	}
	if err := netcard.Configure(card, address, spec.Network.MTU); err != nil {
		return err
	}
	return netcard.DefaultRoute(gateway)
}

// names writes who the machine is, who its neighbours are and whom to ask.
func names() error {
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return err
	}
	var hosts strings.Builder
	fmt.Fprintf(&hosts, "127.0.0.1\tlocalhost\n127.0.1.1\t%s\n", spec.Hostname)
	for _, name := range slices.Sorted(maps.Keys(spec.Hosts)) {
		fmt.Fprintf(&hosts, "%s\t%s\n", spec.Hosts[name], name)
	}
	for file, text := range map[string]string{
		"/etc/hosts": hosts.String(), "/etc/hostname": spec.Hostname + "\n",
		"/etc/resolv.conf": "nameserver " + spec.Network.Gateway + "\nsearch .\n",
	} {
		_ = os.Remove(file) // it may be a link to anywhere
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
