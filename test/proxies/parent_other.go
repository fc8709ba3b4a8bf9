//go:build !linux

package proxies

import "syscall"

// endsWithParent does nothing here.
func endsWithParent() *syscall.SysProcAttr { return nil }
