//go:build !linux

package engine

import "syscall"

// dieWithParent has no means here.
func dieWithParent(a *syscall.SysProcAttr) *syscall.SysProcAttr { return a }
