package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// Config is all that the command line of a machine depends on.
type Config struct {
	Name    string
	CPUs    int
	Memory  int64 // bytes
	MAC     string
	MTU     int
	Verbose bool // the kernel says what it does, on the console
}

// Descriptors that QEMU inherits, in this order.
const (
	fdNet = 3 + iota
	fdExec
	fdKernel
	fdInitrd
	fdImage
	fdLayerProbe // the next to read: QEMU looks at a disk before it opens it
	fdLayer
)

// qemuArgs is the command line. Nothing in it names a file or an address: all
// that the machine has are descriptors.
func qemuArgs(c Config, accel string) []string {
	line := "console=ttyS0 panic=-1 no_timer_check random.trust_cpu=on ipv6.disable_ipv6=1"
	if !c.Verbose {
		line += " quiet loglevel=3"
	}
	fd := func(n int) string { return "/proc/self/fd/" + strconv.Itoa(n) }
	args := []string{
		"-name", c.Name, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-accel", accel, "-M", "pc,usb=off,vmport=off", "-cpu", cpu(accel),
		"-smp", strconv.Itoa(c.CPUs), "-m", strconv.FormatInt(c.Memory>>20, 10) + "M",
		"-kernel", fd(fdKernel), "-initrd", fd(fdInitrd), "-append", line,
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
	}
	for i, disk := range []struct {
		fd   int
		more string
	}{{fdImage, ",readonly=on"}, {fdLayer, ",cache=writeback"}} { // what the guest syncs is on the host's disk
		set := strconv.Itoa(i + 1)
		args = append(args, "-add-fd", "fd="+strconv.Itoa(disk.fd)+",set="+set,
			"-drive", "if=none,id=disk"+set+",format=raw,file=/dev/fdset/"+set+disk.more,
			"-device", "virtio-blk-pci,drive=disk"+set)
	}
	return append(args,
		"-add-fd", "fd="+strconv.Itoa(fdLayerProbe)+",set=2",
		"-netdev", "stream,id=net,server=off,addr.type=fd,addr.str="+strconv.Itoa(fdNet),
		"-device", fmt.Sprintf("virtio-net-pci,netdev=net,mac=%s,host_mtu=%d,romfile=", c.MAC, c.MTU),
		"-chardev", "socket,id=exec,fd="+strconv.Itoa(fdExec),
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=exec,name=bottle.exec",
	)
}

// nobody is the user of programs that root only asks something, such as their version.
const nobody = 65532

// qemu is the name of the monitor.
const qemu = "qemu-system-x86_64"

// qemuDriver is the reference: it starts machines on Linux on amd64, with KVM or
// without.
type qemuDriver struct{ accel string }

// Name implements [Driver].
func (q *qemuDriver) Name() string { return "qemu" }

// Check implements [Driver].
func (q *qemuDriver) Check(ctx context.Context) (string, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", &engine.Problem{What: "the qemu driver starts machines on Linux on amd64 only", Remedy: "use the backend docker here"}
	}
	for _, name := range []string{qemu, "mke2fs"} {
		if _, err := tool(name); err != nil {
			return "", err
		}
	}
	q.accel = Accelerator(ctx)
	return q.accel, nil
}

// probe is a boot sector that writes 0x10 to the port of isa-debug-exit, upon
// which QEMU ends with the status 0x21: mov al,0x10; out 0xf4,al; hlt.
var probe = append(append([]byte{0xb0, 0x10, 0xe6, 0xf4, 0xf4}, make([]byte, 505)...), 0x55, 0xaa)

// cpu is the processor of a machine: all that its accelerator has.
func cpu(accel string) string {
	if accel == "kvm" {
		return "host"
	}
	return "max"
}

// boots reports whether an accelerator runs a machine with the processor that machines
// have, as the user that monitors become and no other. /dev/kvm may open and still run
// none, or not that processor, where the host is a virtual machine itself, and it may
// be root's alone.
func boots(ctx context.Context, accel string) bool {
	program, err := tool(qemu)
	if err != nil {
		return false
	}
	dir, err := os.MkdirTemp("", "bottle-probe-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	disk := filepath.Join(dir, "boot")
	if os.WriteFile(disk, probe, 0o600) != nil || give(dir, nobody) != nil || give(disk, nobody) != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot",
		"-accel", accel, "-M", "pc", "-cpu", cpu(accel), "-m", "16M", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-drive", "format=raw,file="+disk)
	cmd.Env, cmd.SysProcAttr = []string{}, confined(nobody, nobody)
	var exit *exec.ExitError
	return errors.As(cmd.Run(), &exit) && exit.ExitCode() == 0x21
}

// give gives a file to a user, where that is root's to do.
func give(file string, uid int) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chown(file, uid, uid)
}

// Accelerator is what machines run on here: KVM where it truly does, else
// emulation, which is slow and isolates all the same.
func Accelerator(ctx context.Context) string {
	if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err == nil {
		_ = f.Close()
		if boots(ctx, "kvm") {
			return "kvm"
		}
	}
	return "tcg"
}
