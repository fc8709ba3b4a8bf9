package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/guest"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// unixgramDriver starts machines with vfkit or krunkit, on macOS. Both attach the
// machine's card to a socket of datagrams, which they greet with "VFKT". Neither
// has a named serial port: the init connects over vsock, which they hand to a
// socket of ours.
//
// The command lines are those of github.com/crc-org/vfkit, doc/usage.md, and
// github.com/containers/krunkit, docs/usage.md.
type unixgramDriver struct {
	getenv  func(string) string
	goos    string
	program string
}

// Name implements [Driver].
func (*unixgramDriver) Name() string { return "unixgram" }

// Check implements [Driver].
func (d *unixgramDriver) Check(context.Context) (string, error) {
	if d.goos != "darwin" {
		return "", &engine.Problem{What: "the unixgram driver runs vfkit or krunkit, which are macOS's", Remedy: "use the driver qemu here"}
	}
	if _, err := tool("mke2fs"); err != nil {
		return "", err
	}
	for _, name := range []string{"vfkit", "krunkit"} {
		if file, err := lookPath(name, d.getenv("PATH")); err == nil {
			d.program = file
			return name, nil
		}
	}
	return "", &engine.Problem{What: "neither vfkit nor krunkit is in the PATH", Remedy: "install one of them, such as by `brew install vfkit`"}
}

// disks are the files of a machine that vfkit and krunkit open by name.
type disks struct{ kernel, initrd, efi, image, layer, net, port string }

// vfkitArgs is vfkit's command line. There is no serial port, whose log the guest
// could fill the host's disk with.
func vfkitArgs(c Config, d disks) []string {
	return []string{
		"--cpus", strconv.Itoa(c.CPUs), "--memory", strconv.FormatInt(c.Memory>>20, 10), "--restful-uri", "none://", "--log-level", "error",
		"--bootloader", fmt.Sprintf("linux,kernel=%s,initrd=%s,cmdline=%q", d.kernel, d.initrd, kernelLine(c)),
		"--device", "virtio-rng",
		"--device", "virtio-blk,path=" + d.image + ",readonly",
		"--device", "virtio-blk,path=" + d.layer,
		"--device", "virtio-net,unixSocketPath=" + d.net + ",mac=" + c.MAC,
		"--device", "virtio-vsock,port=" + strconv.Itoa(guest.VsockPort) + ",socketURL=" + d.port + ",listen",
	}
}

// krunkitArgs is krunkit's. It boots by EFI only, from its first disk, and opens
// every disk to write, so that the image has to be a copy.
func krunkitArgs(c Config, d disks) []string {
	return []string{
		"--cpus", strconv.Itoa(c.CPUs), "--memory", strconv.FormatInt(c.Memory>>20, 10), "--restful-uri", "none://", "--krun-log-level", "1",
		"--device", "virtio-blk,path=" + d.efi + ",format=raw",
		"--device", "virtio-blk,path=" + d.image + ",format=raw",
		"--device", "virtio-blk,path=" + d.layer + ",format=raw",
		"--device", "virtio-net,type=unixgram,path=" + d.net + ",mac=" + c.MAC + ",offloading=off,vfkitMagic=on",
		"--device", "virtio-vsock,port=" + strconv.Itoa(guest.VsockPort) + ",socketURL=" + d.port + ",listen",
	}
}

// kernelLine is the kernel's own command line, with the init's door.
func kernelLine(c Config) string {
	line := "console=hvc0 panic=-1 random.trust_cpu=on ipv6.disable_ipv6=1 " + guest.VsockWord + strconv.Itoa(guest.VsockPort)
	if !c.Verbose {
		line += " quiet loglevel=3"
	}
	return line
}

// maxSocketPath is how long the path of a socket may be on macOS.
const maxSocketPath = 103

// usable refuses paths that the programs would take for something else.
func (d disks) usable() error {
	for _, path := range []string{d.kernel, d.initrd, d.efi, d.image, d.layer, d.net, d.port} {
		if strings.ContainsAny(path, ",\"\n") {
			return &engine.Problem{What: fmt.Sprintf("the path %q has a comma or a quote, at which vfkit would end it", path), Remedy: "set BOTTLE_HOME and " + KitVariable + " to directories without"}
		}
	}
	for _, path := range []string{d.net, d.port} {
		if len(path) > maxSocketPath {
			return &engine.Problem{What: fmt.Sprintf("the path of the socket %s is longer than the %d bytes that a socket's may be", path, maxSocketPath), Remedy: "set BOTTLE_HOME to a directory with a shorter name"}
		}
	}
	return nil
}

// boot implements [Driver].
func (d *unixgramDriver) boot(ctx context.Context, p Parts, m *Machine) (net.Conn, error) {
	on := disks{
		kernel: p.Kit.Kernel, initrd: filepath.Join(p.Run, "initrd"), layer: p.Layer.File(),
		net: p.Socket, port: filepath.Join(p.Run, "port.sock"),
	}
	image, err := p.Disk(ctx)
	if err != nil {
		return nil, err
	}
	on.image = image
	krunkit := filepath.Base(d.program) == "krunkit"
	if krunkit {
		on.efi, on.image = filepath.Join(p.Run, "efi.img"), filepath.Join(p.Run, "image.ext4")
	}
	if err := on.usable(); err != nil {
		return nil, err
	}
	args := vfkitArgs(p.Config, on)
	if krunkit {
		args = krunkitArgs(p.Config, on)
		if err := copyFile(filepath.Join(filepath.Dir(p.Kit.Kernel), "efi.img"), on.efi); err != nil {
			return nil, &engine.Problem{What: fmt.Sprintf("krunkit boots by EFI only, and the kit has no disk for that (%v)", err), Remedy: "install vfkit, or put such a disk, with the kit's kernel and an initial file system, beside the kernel as efi.img"}
		}
		if err := copyFile(image, on.image); err != nil {
			return nil, fmt.Errorf("cannot copy the disk of the image: %w", err)
		}
	}
	if err := prepare(ctx, p); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", on.port)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the machine's init: %w", err)
	}
	defer l.Close()
	m.cmd = exec.Command(d.program, args...)
	m.cmd.Env, m.cmd.Dir, m.cmd.SysProcAttr = []string{}, "/", &syscall.SysProcAttr{Setpgid: true}
	console := plain.NewWriter(&bounded{w: p.Console, left: maxConsole})
	m.cmd.Stdout, m.cmd.Stderr = console, console
	if err := m.launch(console); err != nil {
		return nil, err
	}
	return m.await(ctx, l)
}

// await takes the one connection of the machine's init.
func (m *Machine) await(ctx context.Context, l net.Listener) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("the machine was not ready after %s", startTime))
	defer cancel()
	stopped := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stopped()
	accepted := make(chan struct{})
	defer close(accepted)
	go func() {
		select {
		case <-m.ended:
			_ = l.Close()
		case <-accepted:
		}
	}()
	c, err := l.Accept()
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, errors.New("the machine ended before it was ready")
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// OpensSocket reports whether a driver's monitor opens the gateway's socket itself,
// which must then be one of datagrams.
func OpensSocket(d Driver) bool { return d.Name() == "unixgram" }
