package wire

import (
	"fmt"
	"path"
	"strings"
)

// socketScheme begins an address that is a socket in the file system.
const socketScheme = "unix://"

// maxSocketPath is the longest path that the kernel takes for a socket, in bytes
// (unix(7): sun_path, with its closing zero).
const maxSocketPath = 107

// Socket is the address of a socket at an absolute path, as a configuration has it.
func Socket(file string) string { return socketScheme + file }

// SocketPath returns the path of the socket that an address is, and whether it is
// one. An error says that it means to be one and cannot be.
func SocketPath(address string) (file string, ok bool, err error) {
	if !strings.HasPrefix(address, "unix:") {
		return "", false, nil
	}
	file, ok = strings.CutPrefix(address, socketScheme)
	switch {
	case !ok || !path.IsAbs(file) || path.Clean(file) != file || file == "/":
		return "", true, fmt.Errorf("%q is not %s and the plain absolute path of a socket", address, socketScheme)
	case len(file) > maxSocketPath:
		return "", true, fmt.Errorf("the path of the socket %q is longer than the %d bytes that a kernel takes", address, maxSocketPath)
	}
	return file, true, nil
}
