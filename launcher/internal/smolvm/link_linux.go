package smolvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/launcher/internal/netcard"
)

// device is the name of the one link.
const device = "bottle0"

// open makes the link in the process's own network: the card that the gateway
// takes for the machine's. Its life is that of the file.
func (l Link) open() (*os.File, error) {
	address, err := netip.ParsePrefix(l.Address)
	if err != nil {
		return nil, err
	}
	gateway, err := netip.ParseAddr(l.Gateway)
	if err != nil {
		return nil, err
	}
	mac, err := net.ParseMAC(l.MAC)
	if err != nil || len(mac) != 6 {
		return nil, fmt.Errorf("%q is no hardware address", l.MAC)
	}
	for _, file := range []string{"net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6"} {
		if err := os.WriteFile("/proc/sys/"+file, []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("cannot switch IPv6 off: %w", err)
		}
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open /dev/net/tun: %w", err)
	}
	if err := l.configure(fd, mac, address); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make the machine's link: %w", err), unix.Close(fd))
	}
	tap := os.NewFile(uintptr(fd), device) // not earlier: there is nothing to poll before it has a device
	if err := netcard.DefaultRoute(gateway); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make the machine's route: %w", err), tap.Close())
	}
	return tap, nil
}

func (l Link) configure(tap int, mac net.HardwareAddr, p netip.Prefix) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if err := netcard.Request(tap, unix.TUNSETIFF, device, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI); return nil }); err != nil {
		return err
	}
	if err := netcard.Request(s, unix.SIOCSIFHWADDR, device, func(r *unix.Ifreq) error { setHardware(r, mac); return nil }); err != nil {
		return err
	}
	return netcard.Configure(device, p, l.MTU)
}

// setHardware fills a request with a hardware address: a sockaddr behind the name,
// for which [unix.Ifreq] has no setter.
func setHardware(r *unix.Ifreq, mac net.HardwareAddr) {
	raw := unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r))
	binary.NativeEndian.PutUint16(raw[unix.IFNAMSIZ:], unix.ARPHRD_ETHER)
	copy(raw[unix.IFNAMSIZ+2:], mac)
}

// alone makes sure that the process's network has the link, loopback, and nothing
// else; the latter is down.
func alone() error {
	cards, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("cannot see the links of the machine's network: %w", err)
	}
	for _, c := range cards {
		if c.Name != device && (c.Name != "lo" || c.Flags&net.FlagUp != 0) {
			return fmt.Errorf("the machine's network has the link %s, which it should not have", c.Name)
		}
	}
	return nil
}
