package guestinit

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// devices are the nodes that a container has. Those of the machine (disks, memory,
// serial ports) are init's alone: the agent's root cannot make them.
var devices = []struct {
	name         string
	major, minor uint32
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

// makeDevices fills an empty directory for devices.
func makeDevices(dir string) error {
	for _, d := range devices {
		file := dir + "/" + d.name
		if err := unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("cannot make %s: %w", file, err)
		}
		if err := unix.Chmod(file, 0o666); err != nil { // whatever the umask is
			return fmt.Errorf("cannot open %s to everybody: %w", file, err)
		}
	}
	return os.Symlink("pts/ptmx", dir+"/ptmx")
}

// What engines hide from containers, and what they show to be read only. A user
// with the number 0 could use it without any capability.
var (
	hidden   = []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap"}
	readOnly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// mask lays itself over them. Nobody but init can take it off again.
func mask() error {
	for _, path := range hidden {
		fi, err := os.Stat(path)
		switch {
		case os.IsNotExist(err):
			continue
		case err != nil:
		case fi.IsDir():
			err = unix.Mount("tmpfs", path, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		default:
			err = unix.Mount("/dev/null", path, "", unix.MS_BIND, "")
		}
		if err != nil {
			return fmt.Errorf("cannot hide %s: %w", path, err)
		}
	}
	for _, path := range readOnly {
		err := unix.Mount(path, path, "", unix.MS_BIND, "")
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		}
		if err != nil {
			return fmt.Errorf("cannot protect %s: %w", path, err)
		}
	}
	return nil
}
