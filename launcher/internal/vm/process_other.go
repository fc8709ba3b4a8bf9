//go:build !linux

package vm

import "syscall"

// confined is for Linux, where [Start] runs at all.
func confined(int, int) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// holding and what follows are for the smolvm driver, which is Linux's.
func holding() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func unprivileged() *syscall.SysProcAttr { return nil }

func groupOf(string) []int { return nil }

func rootsAlone(string) bool { return false }
