package guestinit

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/launcher/internal/guest"
)

// vsockPort is the port that the kernel's command line names, 0 for none.
func vsockPort(line string) uint32 {
	for word := range strings.FieldsSeq(line) {
		if n, ok := strings.CutPrefix(word, guest.VsockWord); ok {
			port, err := strconv.ParseUint(n, 10, 32)
			if err != nil {
				return 0
			}
			return uint32(port)
		}
	}
	return 0
}

// dialVsock connects with the launcher, on the machine's host.
func dialVsock(port uint32) (*os.File, error) {
	return wait("the launcher's vsock port "+strconv.Itoa(int(port)), func() (*os.File, error) {
		s, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		if err = unix.Connect(s, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: port}); err == nil {
			err = unix.SetNonblock(s, true)
		}
		if err != nil {
			_ = unix.Close(s)
			return nil, fmt.Errorf("vsock: %w", err)
		}
		return os.NewFile(uintptr(s), "vsock"), nil
	})
}
