package guestinit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// card gives a command the network card. Nobody in the machine can ask for that:
// requests come from the launcher alone, over a port that init holds.
func (s *session) card(cmd *exec.Cmd) error {
	found, _ := filepath.Glob("/sys/class/net/e*")
	if len(found) != 1 {
		return fmt.Errorf("there are %d network cards", len(found))
	}
	link, err := net.InterfaceByName(filepath.Base(found[0]))
	if err != nil {
		return fmt.Errorf("cannot find the network card: %w", err)
	}
	all := uint16(unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8) // in the network's order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return fmt.Errorf("cannot open the network card: %w", err)
	}
	f := os.NewFile(uintptr(fd), link.Name)
	const ignoreOutgoing = 23 // PACKET_IGNORE_OUTGOING: what is sent is not heard
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, ignoreOutgoing, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index})
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("cannot open the network card: %w", err)
	}
	cmd.ExtraFiles, s.child = []*os.File{f}, append(s.child, f)
	return nil
}
