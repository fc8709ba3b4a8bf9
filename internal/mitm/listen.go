package mitm

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/bottlesuite/bottle/internal/wire"
)

// listen opens what an address names: a port, or a socket in the file system.
func listen(address string) (net.Listener, error) {
	file, ok, err := wire.SocketPath(address)
	if err != nil {
		return nil, err
	}
	if !ok {
		return net.Listen("tcp", address)
	}
	if err := removeStale(file); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", file)
	if err != nil {
		return nil, err
	}
	// Whoever may connect is its owner alone, whatever the umask was.
	if err := os.Chmod(file, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes the socket of a process that was killed. One that somebody answers
// at is left, and so is what is no socket.
func removeStale(file string) error {
	fi, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket", file)
	}
	c, err := net.Dial("unix", file)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("something else listens at %s", file)
	}
	if errors.Is(err, fs.ErrNotExist) { // its process ended just now
		return nil
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // such as EAGAIN, of one that is too busy to answer
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
