package engine

import "syscall"

// dieWithParent ends the client when the launcher is killed, so that nothing is
// still being created while cleanup looks for what is left.
func dieWithParent(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	a.Pdeathsig = syscall.SIGTERM
	return a
}
