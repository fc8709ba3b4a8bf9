package gateway

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/launcher/internal/framing"
)

// openTap attaches a TAP device of the process's own network namespace. The
// guest's card is the other end of it, or bridged to it.
func openTap(name string) (attacher, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("cannot attach the device %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	return &once{stop: f.Close, open: func() (framing.Attachment, error) { return framing.NewDatagrams(f), nil }}, nil
}
