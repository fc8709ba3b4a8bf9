//go:build linux

package probe

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/internal/wire"
)

// kind is what a socket is made of.
type kind struct{ family, kind, protocol int }

// sockets are those that a task may name.
var sockets = map[string]kind{
	"raw":              {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW},
	"raw icmp":         {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
	"raw tcp":          {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP},
	"raw ipv6":         {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW},
	"packet":           {unix.AF_PACKET, unix.SOCK_RAW, 0},
	"packet datagram":  {unix.AF_PACKET, unix.SOCK_DGRAM, 0},
	"vsock":            {unix.AF_VSOCK, unix.SOCK_STREAM, 0},
	"vsock datagram":   {unix.AF_VSOCK, unix.SOCK_DGRAM, 0},
	"netfilter":        {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER},
	"audit":            {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT},
	"kobject events":   {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT},
	"xfrm":             {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_XFRM},
	"generic netlink":  {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC},
	"kernel crypto":    {unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
	"bluetooth":        {unix.AF_BLUETOOTH, unix.SOCK_RAW, 1},
	"can":              {unix.AF_CAN, unix.SOCK_RAW, 1},
	"xdp":              {unix.AF_XDP, unix.SOCK_RAW, 0},
	"key management":   {unix.AF_KEY, unix.SOCK_RAW, 2},
	"tipc":             {unix.AF_TIPC, unix.SOCK_RDM, 0},
	"rds":              {unix.AF_RDS, unix.SOCK_SEQPACKET, 0},
	"smc":              {unix.AF_SMC, unix.SOCK_STREAM, 0},
	"appletalk":        {unix.AF_APPLETALK, unix.SOCK_DGRAM, 0},
	"x.25":             {unix.AF_X25, unix.SOCK_SEQPACKET, 0},
	"sctp":             {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP},
	"multipath tcp":    {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP},
	"udp-lite":         {unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE},
	"echo request":     {unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
	"echo request, v6": {unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6},
}

// openSockets opens sockets and closes them.
func openSockets(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	each(t, r, func(target string) (bool, string) {
		k, ok := sockets[target]
		if !ok {
			return false, "not tried: the probe does not know it"
		}
		fd, err := unix.Socket(k.family, k.kind|unix.SOCK_CLOEXEC, k.protocol)
		if err != nil {
			return false, word(err)
		}
		_ = unix.Close(fd)
		return true, "the socket was opened"
	})
	return nil
}

// dialVsock connects to a port of other machines' and of the host's by their number.
func dialVsock(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	each(t, r, func(target string) (bool, string) {
		number, err := strconv.ParseUint(target, 10, 32)
		if err != nil {
			return false, "not tried: it is no number"
		}
		fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return false, word(err)
		}
		defer unix.Close(fd)
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1})
		const sshd = 22
		if err := unix.Connect(fd, &unix.SockaddrVM{CID: uint32(number), Port: sshd}); err != nil {
			return false, word(err)
		}
		return true, "connected"
	})
	return nil
}

// echo pings the targets, where the kernel gives a socket for that.
func echo(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	each(t, r, func(target string) (bool, string) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			return false, word(err)
		}
		defer unix.Close(fd)
		var to unix.SockaddrInet4
		copy(to.Addr[:], net.ParseIP(target).To4())
		if err := unix.Sendto(fd, append([]byte{8, 0, 0, 0, 0, 1, 0, 1}, t.Token...), 0, &to); err != nil {
			return false, word(err)
		}
		return true, "an echo request was sent"
	})
	return nil
}

// broadcast sends the token to everybody on every link, past the routing table:
// a socket that is bound to a device needs no route. A target is a port.
func broadcast(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	links, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("cannot list the interfaces: %w", err)
	}
	for _, target := range t.Targets {
		port, err := strconv.Atoi(target)
		if err != nil {
			return err
		}
		for _, link := range links {
			if link.Flags&net.FlagLoopback != 0 {
				continue
			}
			for _, to := range [][4]byte{{255, 255, 255, 255}, {224, 0, 0, 1}, {224, 0, 0, 251}, {239, 255, 255, 250}} {
				what := "sent"
				if err := sendOn(link.Name, to, port, t.Token); err != nil {
					what = word(err)
				}
				r.Seen = append(r.Seen, wire.ProbeSeen{Target: fmt.Sprintf("%s by %s", net.IP(to[:]), link.Name), Open: what == "sent", What: what})
			}
		}
	}
	return nil
}

func sendOn(device string, to [4]byte, port int, token string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return err
	}
	if err := unix.BindToDevice(fd, device); err != nil {
		return err
	}
	for range 3 {
		err = unix.Sendto(fd, []byte(token), 0, &unix.SockaddrInet4{Port: port, Addr: to})
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
