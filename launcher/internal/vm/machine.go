package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/guest"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// Parts is what a machine is started from.
type Parts struct {
	Config
	Kit   *Kit
	Guest wire.Guest
	// Dir is the bottle's directory, for the sources of mounts; Run is a
	// directory of the machine's own, which goes with it.
	Dir, Run string
	// Disk makes the image's disk, or finds it; Archive writes the image itself,
	// as `docker save` does. A driver needs one of them.
	Disk    func(context.Context) (file string, err error)
	Archive func(context.Context, io.Writer) error
	// Layer is where what the machine writes goes; Guest.Layer says whether it is
	// there already. It is the caller's to keep or remove.
	Layer Layer
	// Smolfile is the file of smolvm's that describes the machine.
	Smolfile []byte
	// Wire is the machine's end of its network; Start takes it over. Socket is the
	// gateway's socket of datagrams, for a driver that [OpensSocket].
	Wire   *os.File
	Socket string
	// Console takes what the machine prints, up to a bound.
	Console io.Writer
	// UID and GID are who the monitor runs as where the operator is root.
	UID, GID int
}

// Machine is a machine that runs.
type Machine struct {
	cmd     *exec.Cmd
	session *yamux.Session
	broker  net.Listener
	ended   chan struct{}
	run     string
	// off asks the machine to switch itself off; it need not work.
	off func()
}

// Socket is the file, in a machine's directory, at which other launchers find it.
const Socket = "exec.sock"

// startTime bounds a boot. An emulated machine on a busy host needs long.
const startTime = 3 * time.Minute

// Start starts a machine with a driver and waits until it is ready.
func Start(ctx context.Context, d Driver, p Parts) (*Machine, error) {
	defer p.Wire.Close()
	m := &Machine{ended: make(chan struct{}), run: p.Run}
	m.off = m.askOff
	port, err := d.boot(ctx, p, m)
	if err == nil {
		if err = m.greet(ctx, port); err != nil {
			_ = port.Close()
		}
	}
	if err != nil {
		m.Kill()
		return nil, err
	}
	return m, nil
}

// boot implements [Driver].
func (q *qemuDriver) boot(ctx context.Context, p Parts, m *Machine) (net.Conn, error) {
	image, err := p.Disk(ctx)
	if err == nil {
		err = prepare(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	near, far, err := socketPair()
	if err != nil {
		return nil, err
	}
	err = m.spawn(ctx, p, q.accel, image, far)
	_ = far.Close()
	if err != nil {
		_ = near.Close()
		return nil, err
	}
	return near, nil
}

// prepare writes the machine's own files.
func prepare(ctx context.Context, p Parts) error {
	spec, err := json.Marshal(p.Guest)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(p.Run, "initrd"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("cannot write the machine's initial files: %w", err)
	}
	err = writeInitrd(f, p.Kit, spec, p.Dir, p.sources())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write the machine's initial files: %w", err)
	}
	if p.Guest.Layer.Kept {
		return nil
	}
	return p.Layer.make(ctx)
}

// socketPair is a connected pair, our end of it a connection.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the machine's port: %w", err)
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	mine := os.NewFile(uintptr(fds[0]), "port")
	defer mine.Close()
	c, err := net.FileConn(mine)
	return c, os.NewFile(uintptr(fds[1]), "port"), err
}

// spawn starts QEMU with what it inherits.
func (m *Machine) spawn(ctx context.Context, p Parts, accel, image string, port *os.File) error {
	program, err := tool(qemu)
	if err != nil {
		return err
	}
	m.cmd = exec.Command(program, qemuArgs(p.Config, accel)...)
	m.cmd.Env, m.cmd.Dir = []string{}, "/"
	m.cmd.SysProcAttr = confined(p.UID, p.GID)
	console := plain.NewWriter(&bounded{w: p.Console, left: maxConsole})
	m.cmd.Stdout, m.cmd.Stderr = console, console
	layer, err := p.Layer.open(ctx)
	if err != nil {
		return err
	}
	defer layer.Close()
	files := []*os.File{p.Wire, port}
	for _, name := range []string{p.Kit.Kernel, filepath.Join(p.Run, "initrd"), image, p.Layer.File()} {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("cannot open what the machine is made of: %w", err)
		}
		defer file.Close()
		files = append(files, file)
	}
	m.cmd.ExtraFiles = append(files, layer)
	return m.launch(console)
}

// launch starts the machine's monitor. The thread that does it lives as long as
// the monitor, which the kernel would end with it.
func (m *Machine) launch(console io.Closer) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := m.cmd.Start()
		started <- err
		if err == nil {
			_ = m.cmd.Wait()
			_ = console.Close()
			close(m.ended)
		}
	}()
	if err := <-started; err != nil {
		name := m.cmd.Path
		m.cmd = nil
		return fmt.Errorf("cannot start %s: %w", name, err)
	}
	return nil
}

// greet waits for the machine to say that it is ready, and opens the door for
// other launchers.
func (m *Machine) greet(ctx context.Context, port net.Conn) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("the machine was not ready after %s", startTime))
	defer cancel()
	said := make(chan error, 1)
	go func() { said <- guest.ReadBanner(port) }()
	select {
	case err := <-said:
		if err != nil {
			return err
		}
	case <-m.ended:
		return fmt.Errorf("the machine ended with %s before it was ready", m.cmd.ProcessState)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var err error
	if m.session, err = yamux.Client(port, hostMux()); err != nil {
		return err
	}
	path := filepath.Join(m.run, Socket)
	_ = os.Remove(path)
	if m.broker, err = listen(path); err != nil {
		return fmt.Errorf("cannot let other launchers reach the machine: %w", err)
	}
	go m.lend()
	return nil
}

// unasked is how many streams of a machine's own the host holds. Nobody accepts them;
// each could fill a window of 256 KiB.
const unasked = 16

// hostMux is the launcher's end of a port.
func hostMux() *yamux.Config {
	c := guest.Mux()
	c.AcceptBacklog = unasked
	return c
}

// lend gives each launcher that comes a stream of its own.
func (m *Machine) lend() {
	for {
		c, err := m.broker.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			s, err := m.session.Open()
			if err != nil {
				return
			}
			var back sync.WaitGroup
			back.Go(func() { _, _ = io.Copy(c, s); _ = c.Close() })
			_, _ = io.Copy(s, c)
			_ = s.Close()
			back.Wait()
		}()
	}
}

// Open returns a stream for one command.
func (m *Machine) Open() (net.Conn, error) { return m.session.Open() }

// Ended is closed when the machine is off.
func (m *Machine) Ended() <-chan struct{} { return m.ended }

// PID is the monitor's.
func (m *Machine) PID() int { return m.cmd.Process.Pid }

// offTime is how long a machine may take to switch itself off.
const offTime = 2 * time.Second

// Stop switches the machine off, and removes what was its own.
func (m *Machine) Stop() error {
	m.off()
	m.Kill()
	return os.RemoveAll(m.run)
}

// askOff tells the machine's init to switch off.
func (m *Machine) askOff() {
	c, err := m.session.Open()
	if err != nil {
		return
	}
	_ = c.SetDeadline(time.Now().Add(offTime))
	if guest.WriteRequest(c, guest.Request{Now: time.Now()}) == nil {
		select {
		case <-m.ended:
		case <-time.After(offTime):
		}
	}
}

// Kill ends the machine at once.
func (m *Machine) Kill() {
	if m.broker != nil {
		_ = m.broker.Close()
	}
	if m.cmd != nil && m.cmd.Process != nil {
		_ = syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
		<-m.ended
	}
	if m.session != nil {
		_ = m.session.Close()
	}
}

// maxConsole bounds what is kept of a console, which the guest can fill.
const maxConsole = 1 << 20

// bounded drops what is beyond its bound.
type bounded struct {
	w    io.Writer
	left int
}

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	p = p[:min(n, b.left)]
	b.left -= len(p)
	if _, err := b.w.Write(p); err != nil {
		b.left = 0 // a console is not worth an error
	}
	return n, nil
}
