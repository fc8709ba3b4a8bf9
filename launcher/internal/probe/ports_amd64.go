//go:build linux

package probe

import "golang.org/x/sys/unix"

// Numbers of calls that only this architecture has.
const (
	sysIopl   = unix.SYS_IOPL
	sysIoperm = unix.SYS_IOPERM
)
