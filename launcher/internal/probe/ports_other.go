//go:build linux && !amd64

package probe

// Calls that this architecture does not have; no kernel takes these numbers.
const (
	sysIopl   = ^uintptr(0)
	sysIoperm = ^uintptr(0)
)
