package netcard

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Configure gives a card its address and brings it up, in the network of the calling
// process. An MTU of 0 is left as it is.
func Configure(card string, p netip.Prefix, mtu int) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
	steps := []struct {
		op   uint
		fill func(*unix.Ifreq) error
	}{
		{unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(uint32(mtu)); return nil }},
		{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(p.Addr().AsSlice()) }},
		{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(mask) }},
		{unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	}
	if mtu == 0 {
		steps = steps[1:]
	}
	for _, step := range steps {
		if err := Request(s, step.op, card, step.fill); err != nil {
			return fmt.Errorf("cannot configure %s: %w", card, err)
		}
	}
	return nil
}

// Request makes one request about a card, filled by fill.
func Request(fd int, op uint, card string, fill func(*unix.Ifreq) error) error {
	r, err := unix.NewIfreq(card)
	if err == nil {
		err = fill(r)
	}
	if err == nil {
		err = unix.IoctlIfreq(fd, op, r)
	}
	return err
}

// DefaultRoute sends everything to a gateway, which refuses what it does not carry
// sooner than a missing route would.
func DefaultRoute(gateway netip.Addr) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ne := binary.NativeEndian
	msg := make([]byte, unix.NLMSG_HDRLEN)
	msg = append(msg, unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0)
	msg = ne.AppendUint16(ne.AppendUint16(msg, 8), unix.RTA_GATEWAY)
	msg = append(msg, gateway.AsSlice()...)
	ne.PutUint32(msg, uint32(len(msg)))
	ne.PutUint16(msg[4:], unix.RTM_NEWROUTE)
	ne.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE)
	if err := unix.Sendto(s, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil || n < unix.NLMSG_HDRLEN+4 {
		return fmt.Errorf("the kernel does not answer about the route: %w", err)
	}
	if e := int32(ne.Uint32(answer[unix.NLMSG_HDRLEN:])); e != 0 {
		return fmt.Errorf("cannot set the default route: %w", unix.Errno(-e))
	}
	return nil
}
