//go:build linux

package probe

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/internal/wire"
)

// powers are doors of the kernel that a bottle keeps shut, by a capability that
// is not there or by the seccomp profile. Each knocks in a way that does no harm
// where it is let in: with a file that is not there, a value that is refused, or
// something that ends with its thread.
var powers = map[string]func() error{
	"user namespace":          child(unix.CLONE_NEWUSER),
	"network namespace":       child(unix.CLONE_NEWNET),
	"mount namespace":         child(unix.CLONE_NEWNS),
	"pid namespace":           child(unix.CLONE_NEWPID),
	"user and mount together": child(unix.CLONE_NEWUSER | unix.CLONE_NEWNS),
	"unshare":                 func() error { return onThread(func() error { return unix.Unshare(unix.CLONE_NEWUTS) }) },
	"setns":                   func() error { return call(unix.SYS_SETNS, ^uintptr(0), 0, 0) },
	"mount":                   func() error { return unix.Mount("none", "/nowhere", "tmpfs", 0, "") },
	"umount":                  func() error { return unix.Unmount("/nowhere", 0) },
	"remount":                 func() error { return unix.Mount("", "/nowhere", "", unix.MS_REMOUNT, "") },
	"fsopen":                  func() error { return path(unix.SYS_FSOPEN, "tmpfs") },
	"open_tree":               func() error { return call(unix.SYS_OPEN_TREE, ^uintptr(0), text("/nowhere"), 1) },
	"move_mount":              func() error { return call(unix.SYS_MOVE_MOUNT, ^uintptr(0), text("/nowhere"), ^uintptr(0)) },
	"pivot_root":              func() error { return unix.PivotRoot("/nowhere", "/nowhere") },
	"chroot":                  func() error { return path(unix.SYS_CHROOT, "/nowhere") },
	"swapon":                  func() error { return path(unix.SYS_SWAPON, "/nowhere") },
	"mknod":                   mknod,
	"handle":                  func() error { return call(unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(0), 0, 0) },
	"bpf":                     func() error { return call(unix.SYS_BPF, 0xffff, 0, 0) },
	"perf events":             func() error { return call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0) },
	"io_uring":                func() error { return call(unix.SYS_IO_URING_SETUP, 1, 0, 0) },
	"io_uring enter":          func() error { return call(unix.SYS_IO_URING_ENTER, ^uintptr(0), 0, 0) },
	"userfaultfd":             func() error { return call(unix.SYS_USERFAULTFD, 0xffff, 0, 0) },
	"keyctl":                  func() error { return call(unix.SYS_KEYCTL, 0, ^uintptr(2), 0) }, // the session keyring's number
	"add_key":                 func() error { return call(unix.SYS_ADD_KEY, text("user"), text("probe"), 0) },
	"request_key":             func() error { return call(unix.SYS_REQUEST_KEY, text("user"), text("probe"), 0) },
	"load a module":           func() error { return call(unix.SYS_FINIT_MODULE, ^uintptr(0), text(""), 0) },
	"remove a module":         func() error { return path(unix.SYS_DELETE_MODULE, "nothing") },
	"kexec":                   func() error { return call(unix.SYS_KEXEC_LOAD, 0, 99, 0) },
	"reboot":                  func() error { return call(unix.SYS_REBOOT, 0, 0, 0) }, // not the magic numbers
	"set the clock":           setClock,
	"kernel log":              func() error { return call(unix.SYS_SYSLOG, 10, 0, 0) }, // its size
	"accounting":              func() error { return path(unix.SYS_ACCT, "/nowhere") },
	"quotas":                  func() error { return call(unix.SYS_QUOTACTL, 0, text("/nowhere"), 0) },
	"fanotify":                func() error { return call(unix.SYS_FANOTIFY_INIT, 0, 0, 0) },
	"personality":             func() error { return call(unix.SYS_PERSONALITY, 0x0400000, 0, 0) },
	"host name":               func() error { return call(unix.SYS_SETHOSTNAME, text("x"), 1<<20, 0) },
	"another user":            anotherUser,
	"another group":           func() error { return onThread(func() error { return call(unix.SYS_SETGROUPS, 0, 0, 0) }) },
	"capabilities":            raise,
	"priority":                func() error { return onThread(func() error { return call(unix.SYS_SETPRIORITY, 0, 0, ^uintptr(9)) }) },
	"add an interface":        addInterface,
	"iopl":                    func() error { return onThread(func() error { return call(sysIopl, 3, 0, 0) }) },
	"ioperm":                  func() error { return onThread(func() error { return call(sysIoperm, 0x80, 1, 1) }) },
}

// usePowers tries the powers that a task names, one after the other.
func usePowers(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	for _, name := range t.Targets {
		s := wire.ProbeSeen{Target: name, What: "not tried: the probe does not know it"}
		if use, ok := powers[name]; ok {
			if err := use(); err == nil {
				s.Open, s.What = true, "it was allowed"
			} else {
				s.What = word(err)
			}
		}
		r.Seen = append(r.Seen, s)
	}
	return nil
}

func call(number, a, b, c uintptr) error {
	if _, _, e := unix.RawSyscall6(number, a, b, c, 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

// text is a C string that lives as long as the process.
func text(s string) uintptr {
	b := append([]byte(s), 0)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

var kept [][]byte

func path(number uintptr, p string) error { return call(number, text(p), 0, 0) }

// onThread runs f on a thread that ends with it, so that what it changed ends, too.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// child starts a program in new namespaces.
func child(flags uintptr) func() error {
	return func() error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		p, err := os.StartProcess(self, []string{self, "version"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: flags}})
		if err != nil {
			return err
		}
		_, err = p.Wait()
		return err
	}
}

func mknod() error {
	const name = "/tmp/.bottle-probe-device"
	err := unix.Mknod(name, unix.S_IFBLK|0o600, 7<<8)
	if err == nil {
		_ = os.Remove(name)
	}
	return err
}

// setClock gives a time that no kernel takes.
func setClock() error {
	ts := unix.Timespec{Nsec: -1}
	return call(unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&ts)), 0)
}

// anotherUser becomes root, or as root somebody else, in one thread.
func anotherUser() error {
	to := uintptr(0)
	if os.Getuid() == 0 {
		to = 54321
	}
	return onThread(func() error { return call(unix.SYS_SETUID, to, 0, 0) })
}

// raise asks for CAP_NET_RAW in one thread.
func raise() error {
	return onThread(func() error {
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		d := [2]unix.CapUserData{{Effective: 1 << unix.CAP_NET_RAW, Permitted: 1 << unix.CAP_NET_RAW}}
		if err := unix.Capset(&h, &d[0]); err != nil {
			return err
		}
		if err := unix.Capget(&h, &d[0]); err == nil && d[0].Permitted == 0 {
			return unix.EPERM // gVisor says yes, and gives none
		}
		return nil
	})
}

// addInterface asks the kernel for a dummy interface by netlink, without the
// name that it would need: it is refused for the caller before for the request.
func addInterface() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	const size = unix.SizeofNlMsghdr + unix.SizeofIfInfomsg
	msg := make([]byte, size)
	h := (*unix.NlMsghdr)(unsafe.Pointer(&msg[0]))
	h.Len, h.Type, h.Flags = size, unix.RTM_DELLINK, unix.NLM_F_REQUEST|unix.NLM_F_ACK
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < unix.SizeofNlMsghdr+4 {
		return err
	}
	if code := *(*int32)(unsafe.Pointer(&answer[unix.SizeofNlMsghdr])); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}
