//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// dialTCP connects to each target and says its token there. Only an error by
// which nothing can have left the guest, or a refusal by the other end's kernel,
// is told apart; the rest is a time that ran out.
func dialTCP(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	d := net.Dialer{Timeout: patience}
	each(t, r, func(target string) (bool, string) {
		conn, err := d.DialContext(ctx, "tcp", target)
		if err != nil {
			return false, word(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = conn.Write([]byte(t.Token + "\n"))
		return true, "connected"
	})
	return nil
}

// sendUDP sends the token to each target, several times, as datagrams get lost. Open
// says that the kernel took them, which is not that they arrived.
func sendUDP(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	d := net.Dialer{Timeout: patience}
	each(t, r, func(target string) (bool, string) {
		conn, err := d.DialContext(ctx, "udp", target)
		if err != nil {
			return false, word(err)
		}
		defer conn.Close()
		var sent error
		for range 3 {
			_, sent = conn.Write([]byte(t.Token))
			time.Sleep(20 * time.Millisecond)
		}
		if sent != nil {
			return false, word(sent)
		}
		return true, "sent"
	})
	return nil
}

// word is the kernel's name for what happened, the same for every runtime.
func word(err error) string {
	var no syscall.Errno
	switch {
	case errors.As(err, &no):
		if name, ok := names[no]; ok {
			return name
		}
		return no.Error()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return wire.ProbeSilence
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return wire.ProbeSilence
	}
	return err.Error()
}

var names = map[syscall.Errno]string{
	syscall.ENETUNREACH: "ENETUNREACH", syscall.EHOSTUNREACH: "EHOSTUNREACH", syscall.ECONNREFUSED: "ECONNREFUSED",
	syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL", syscall.EAFNOSUPPORT: "EAFNOSUPPORT", syscall.EPERM: "EPERM", syscall.EACCES: "EACCES",
	syscall.EPROTONOSUPPORT: "EPROTONOSUPPORT", syscall.ENOSYS: "ENOSYS", syscall.ETIMEDOUT: wire.ProbeSilence, syscall.ENODEV: "ENODEV",
	syscall.EOPNOTSUPP: "EOPNOTSUPP", syscall.EROFS: "EROFS", syscall.ENOENT: "ENOENT", syscall.EINVAL: "EINVAL", syscall.EFAULT: "EFAULT",
	syscall.EBUSY: "EBUSY", syscall.ESRCH: "ESRCH", syscall.ENXIO: "ENXIO", syscall.ENOTDIR: "ENOTDIR", syscall.ENOTTY: "ENOTTY",
	syscall.ESOCKTNOSUPPORT: "ESOCKTNOSUPPORT", syscall.EBADF: "EBADF", syscall.ENOTSOCK: "ENOTSOCK", syscall.EINTR: "EINTR",
}

// connectUnix connects to sockets in the file system.
func connectUnix(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	each(t, r, func(target string) (bool, string) {
		if _, err := os.Lstat(target); err == nil {
			return true, "it is there"
		}
		conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "unix", target)
		if err != nil {
			return false, word(err)
		}
		_ = conn.Close()
		return true, "connected"
	})
	return nil
}

// resolve asks for names as programs do.
func resolve(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	each(t, r, func(target string) (bool, string) {
		ctx, cancel := context.WithTimeout(ctx, 2*patience)
		defer cancel()
		time.Sleep(askEvery)
		found, err := (&net.Resolver{PreferGo: true}).LookupHost(ctx, target)
		if err != nil {
			var d *net.DNSError
			if errors.As(err, &d) && d.IsNotFound {
				return false, "no such name"
			}
			return false, word(err)
		}
		return true, fmt.Sprint(found)
	})
	return nil
}
