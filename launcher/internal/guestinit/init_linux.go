package guestinit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/guest"
)

// Places in the initial file system.
const (
	Spec       = "/bottle/guest.json"
	Files      = "/bottle/files"
	Modules    = "/bottle/modules"
	ModuleList = "/bottle/modules/order"
)

// Main never returns: the end of init is the end of the machine.
func Main() {
	port, err := boot()
	if port != nil {
		_ = guest.WriteBanner(port, err)
	}
	if err == nil {
		err = serve(port)
	}
	fmt.Println("guestinit:", err) // on the console
	off()
}

// off switches the machine off.
func off() {
	if asService {
		os.Exit(0)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // the kernel is on its way
}

// spec is what the machine was told; it is set once, by boot.
var spec wire.Guest

// boot makes the machine ready. The port is open as soon as there is one, for the
// error.
func boot() (port *os.File, err error) {
	for _, m := range []mount{
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID | unix.MS_NOEXEC, ""},
	} {
		if err := m.do(); err != nil {
			return nil, err
		}
	}
	if err := loadModules(); err != nil {
		return nil, err
	}
	line, _ := os.ReadFile("/proc/cmdline")
	if n := vsockPort(string(line)); n != 0 {
		port, err = dialVsock(n)
	} else {
		port, err = openPort()
	}
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(Spec)
	if err != nil {
		return port, err
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return port, fmt.Errorf("%s: %w", Spec, err)
	}
	for _, step := range []func() error{root, enter, network, names, mask, confine} {
		if err := step(); err != nil {
			return port, err
		}
	}
	return port, nil
}

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
		return fmt.Errorf("cannot mount %s on %s: %w", m.source, m.target, err)
	}
	return nil
}

// loadModules loads the kernel's modules in the order of the list.
func loadModules() error {
	list, err := os.ReadFile(ModuleList)
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(list)) {
		f, err := os.Open(filepath.Join(Modules, name))
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		_ = f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("cannot load the module %s: %w", name, err)
		}
	}
	return nil
}

// wait tries until it works, for as long as devices take to appear.
func wait[T any](what string, try func() (T, error)) (T, error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		v, err := try()
		if err == nil {
			return v, nil
		}
		if time.Now().After(deadline) {
			return v, fmt.Errorf("%s did not appear: %w", what, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// openPort finds the launcher's serial port by its name.
func openPort() (*os.File, error) {
	return wait("the serial port "+guest.Port, func() (*os.File, error) {
		ports, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, p := range ports {
			if name, err := os.ReadFile(p); err == nil && strings.TrimSpace(string(name)) == guest.Port {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(p)), os.O_RDWR|syscall.O_NONBLOCK, 0)
			}
		}
		return nil, os.ErrNotExist
	})
}

// newRoot is where the machine's root is put together.
const newRoot = "/root"

// enter mounts what a container has, shows the bottle's files, and makes the new
// root the root.
func enter() error {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for _, m := range []mount{
		{"proc", newRoot + "/proc", "proc", quiet, ""},
		{"sysfs", newRoot + "/sys", "sysfs", quiet | unix.MS_RDONLY, ""},
		{"tmpfs", newRoot + "/dev", "tmpfs", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0755,size=64k"},
		{"devpts", newRoot + "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0620,ptmxmode=0666,gid=5"},
		{"tmpfs", newRoot + "/dev/shm", "tmpfs", quiet, "mode=1777,size=64m"},
		{"tmpfs", newRoot + "/run", "tmpfs", quiet, "mode=0755,size=64m"},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	if err := makeDevices(newRoot + "/dev"); err != nil {
		return err
	}
	for link, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		_ = os.Symlink(to, newRoot+"/dev/"+link)
	}
	if err := show(); err != nil {
		return err
	}
	if err := unix.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cannot make %s the root: %w", newRoot, err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// show binds the bottle's files over the new root, read-only.
func show() error { return showOn(newRoot) }

// showOn does so over any root.
func showOn(root string) error {
	for _, m := range spec.Mounts {
		target := filepath.Join(root, m.Target)
		source := filepath.Join(Files, m.Source)
		fi, err := os.Stat(source)
		if err != nil {
			return err
		}
		if fi.IsDir() {
			err = os.MkdirAll(target, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
			var f *os.File
			if f, err = os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
				err = f.Close()
			}
		}
		if err != nil {
			return err
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot show %s: %w", m.Target, err)
		}
		if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			return fmt.Errorf("cannot protect %s: %w", m.Target, err)
		}
	}
	return nil
}

// confine takes from init, and so from all that it starts, what no command gets
// back: capabilities by exec, and privileges by a program's mode bits. What init
// holds itself it keeps.
func confine() error {
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		return fmt.Errorf("cannot forbid new privileges: %w", e)
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0, 0); e != 0 && e != unix.EINVAL {
			return fmt.Errorf("cannot drop the capability %d: %w", c, e)
		}
	}
	if spec.Pids > 0 {
		n := uint64(spec.Pids)
		return unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: n})
	}
	return nil
}
