package proxies

import "syscall"

// endsWithParent makes a process end in an orderly way when ours dies.
func endsWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
