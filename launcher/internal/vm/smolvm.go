package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
	"github.com/bottlesuite/bottle/launcher/internal/smolvm"
)

// HolderCommand is the hidden command of the launcher's that holds a machine of
// smolvm's: see package smolvm.
const HolderCommand = "hold-machine"

// smolvmDriver has smolvm start machines, in a network that has nothing but the
// gateway. It has KVM only.
type smolvmDriver struct {
	getenv  func(string) string
	kvm     string // the devices
	tun     string
	program string
	rootfs  string
}

// Name implements [Driver].
func (*smolvmDriver) Name() string { return "smolvm" }

// Check implements [Driver].
func (d *smolvmDriver) Check(ctx context.Context) (string, error) {
	if runtime.GOOS != "linux" {
		return "", &engine.Problem{What: "the smolvm driver starts machines on Linux only, whose network namespaces it needs", Remedy: "use another driver"}
	}
	if f, err := os.OpenFile(d.kvm, os.O_RDWR, 0); err != nil {
		return "", &engine.Problem{What: "smolvm needs KVM, and " + d.kvm + " does not open (" + reason(err) + ")", Remedy: "turn virtualisation on, load kvm_intel or kvm_amd and join the group kvm, or use the driver qemu, which emulates"}
	} else {
		_ = f.Close()
	}
	if f, err := os.OpenFile(d.tun, os.O_RDWR, 0); err != nil {
		return "", &engine.Problem{What: "the smolvm driver makes a network link of its own, and " + d.tun + " does not open (" + reason(err) + ")", Remedy: "load the module tun, and let users open its device as most systems do (mode 0666), or run the launcher as root"}
	} else {
		_ = f.Close()
	}
	v, err := d.find(ctx)
	if err != nil {
		return "", err
	}
	d.rootfs = d.getenv("SMOLVM_AGENT_ROOTFS")
	if d.rootfs == "" {
		d.rootfs = filepath.Join(d.getenv("HOME"), ".local/share/smolvm/agent-rootfs")
	}
	if fi, err := os.Stat(d.rootfs); err != nil || !fi.IsDir() || !filepath.IsAbs(d.rootfs) {
		return "", &engine.Problem{What: "smolvm's own system is not in " + d.rootfs, Remedy: "install smolvm anew, or set SMOLVM_AGENT_ROOTFS to its agent-rootfs, which every user must be able to read where the launcher is root"}
	}
	return v.String() + ", kvm", nil
}

func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// find finds smolvm in the operator's PATH, and makes sure that it is one that is
// known.
func (d *smolvmDriver) find(ctx context.Context) (v smolvm.Version, err error) {
	if d.program, err = lookPath("smolvm", d.getenv("PATH")); err != nil {
		return v, &engine.Problem{What: "smolvm is not in the PATH", Remedy: "install smolvm " + smolvm.MinVersion.String() + " or newer, where every user can run it, or use the driver qemu"}
	}
	out, err := d.ask(ctx, "--version")
	if err != nil {
		return v, &engine.Problem{What: fmt.Sprintf("%s does not run: %v", d.program, err), Remedy: "install it where every user can run it; where the launcher is root, smolvm is not"}
	}
	if v, err = smolvm.ParseVersion(string(out)); err != nil {
		return v, &engine.Problem{What: d.program + " is not understood: " + err.Error(), Remedy: "install smolvm " + smolvm.MinVersion.String() + " or newer"}
	}
	if v.Before(smolvm.MinVersion) || v[0] != smolvm.MinVersion[0] {
		return v, &engine.Problem{What: fmt.Sprintf("%s is version %s, and its command line is known from %s to before %d.0.0", d.program, v, smolvm.MinVersion, smolvm.MinVersion[0]+1), Remedy: "install such a version, or use the driver qemu"}
	}
	help, err := d.ask(ctx, "machine", "create", "--help")
	if err != nil {
		return v, &engine.Problem{What: fmt.Sprintf("`smolvm machine create --help` fails: %v", err), Remedy: "install smolvm anew"}
	}
	if missing := smolvm.MissingFlags(string(help)); len(missing) > 0 {
		return v, &engine.Problem{What: fmt.Sprintf("smolvm %s does not know %s, without which a machine would not be the bottle's", v, strings.Join(missing, " and ")), Remedy: "install a newer smolvm, or use the driver qemu"}
	}
	return v, nil
}

// ask runs smolvm for what it prints, as the user that it will be.
func (d *smolvmDriver) ask(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env, cmd.Dir = (smolvm.Plan{Libs: d.getenv("SMOLVM_LIB_DIR")}).Env(), "/"
	cmd.SysProcAttr = unprivileged()
	return cmd.Output()
}

// lookPath finds a program in a PATH, of which relative parts are left out.
func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if fi, err := os.Stat(file); filepath.IsAbs(file) && err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", exec.ErrNotFound
}

// boot implements [Driver].
func (d *smolvmDriver) boot(ctx context.Context, p Parts, m *Machine) (net.Conn, error) {
	dir := filepath.Join(p.Run, "smolvm")
	if err := d.prepare(ctx, p, dir); err != nil {
		return nil, fmt.Errorf("cannot prepare the machine for smolvm: %w", err)
	}
	plan := smolvm.Plan{
		Name: p.Name, Program: d.program, Dir: dir, Rootfs: d.rootfs, Libs: d.getenv("SMOLVM_LIB_DIR"), Groups: groupOf(d.kvm),
		Link: smolvm.Link{MAC: p.MAC, Address: p.Guest.Network.Address, Gateway: p.Guest.Network.Gateway, MTU: p.MTU},
	}
	if os.Getuid() == 0 {
		plan.UID, plan.GID = p.UID, p.GID
	}
	reports, err := m.hold(p, plan)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("the machine was not ready after %s", startTime))
	defer cancel()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case err := <-reports:
		if err != nil {
			return nil, err
		}
	}
	return knock(ctx, filepath.Join(dir, smolvm.SocketFile), m.ended)
}

// prepare writes what smolvm reads.
func (d *smolvmDriver) prepare(ctx context.Context, p Parts, dir string) error {
	share := filepath.Join(dir, smolvm.ShareDir)
	for _, sub := range []string{share, filepath.Join(dir, smolvm.HomeDir)} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
	}
	spec, err := json.Marshal(p.Guest)
	if err != nil {
		return err
	}
	init, err := os.ReadFile(p.Kit.Init)
	if err != nil {
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, smolvm.Smolfile), p.Smolfile, 0o644),
		os.WriteFile(filepath.Join(share, "guest.json"), spec, 0o644),
		os.WriteFile(filepath.Join(share, "guestinit"), init, 0o755),
	)
	if err != nil {
		return err
	}
	for _, s := range p.sources() {
		if err := copyTree(filepath.Join(p.Dir, s), filepath.Join(share, "files", s)); err != nil {
			return err
		}
	}
	image, err := os.OpenFile(filepath.Join(dir, smolvm.ImageFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(p.Archive(ctx, image), image.Close()); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return nil
	}
	for _, own := range []string{dir, filepath.Join(dir, smolvm.HomeDir)} { // the rest it only reads
		if err := os.Chown(own, p.UID, p.GID); err != nil {
			return err
		}
	}
	return nil
}

// sources are the files of the bundle that a machine sees.
func (p Parts) sources() []string {
	var out []string
	for _, m := range p.Guest.Mounts {
		out = append(out, m.Source)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// copyTree copies files and directories, for others to read. Links are refused:
// what they lead to is not the bottle's.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if e.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a directory", file)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if fi, err := e.Info(); err == nil && fi.Mode()&0o100 != 0 {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, data, mode)
	})
}

// hold starts the holder. Its report comes over the channel.
func (m *Machine) hold(p Parts, plan smolvm.Plan) (<-chan error, error) {
	told, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	stdin, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	hear, stdout, err := os.Pipe()
	if err != nil {
		_ = tell.Close()
		return nil, err
	}
	defer stdout.Close()
	m.cmd = exec.Command("/proc/self/exe", HolderCommand)
	m.cmd.Env, m.cmd.Dir, m.cmd.SysProcAttr = []string{}, "/", holding()
	console := plain.NewWriter(&bounded{w: p.Console, left: maxConsole})
	m.cmd.Stdin, m.cmd.Stdout, m.cmd.Stderr, m.cmd.ExtraFiles = stdin, stdout, console, []*os.File{p.Wire}
	m.off = func() { // the holder deletes the machine, and ends
		_ = tell.Close()
		select {
		case <-m.ended:
		case <-time.After(deleteTime):
		}
	}
	if err := m.launch(console); err != nil {
		return nil, errors.Join(err, tell.Close(), hear.Close())
	}
	if _, err := tell.Write(told); err != nil {
		return nil, fmt.Errorf("the holder of the machine does not listen: %w", err)
	}
	reports := make(chan error, 1)
	go func() {
		defer hear.Close()
		reports <- report(hear)
	}()
	return reports, nil
}

// deleteTime is how long smolvm may take to end and remove a machine.
const deleteTime = 15 * time.Second

// report reads the holder's one line.
func report(r io.Reader) error {
	var said smolvm.Report
	if err := json.NewDecoder(io.LimitReader(r, 64<<10)).Decode(&said); err != nil {
		return fmt.Errorf("the holder of the machine ended without a word: %w", err)
	}
	if said.Failure != "" {
		return fmt.Errorf("smolvm did not start the machine as it was asked to, so it was deleted: %s", said.Failure)
	}
	return nil
}

// knock connects with the machine's init, which may not listen yet: then smolvm
// takes the connection and closes it.
func knock(ctx context.Context, socket string, ended <-chan struct{}) (net.Conn, error) {
	for {
		c, err := Dial(ctx, socket)
		if err == nil {
			first := make([]byte, 1)
			stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
			_, err = io.ReadFull(c, first)
			if stop() && err == nil {
				return &begun{Conn: c, rest: io.MultiReader(bytes.NewReader(first), c)}, nil
			}
			_ = c.Close()
		}
		select {
		case <-ended:
			return nil, errors.New("the machine ended before it was ready")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// begun is a connection of which a byte was read.
type begun struct {
	net.Conn
	rest io.Reader
}

// Read implements [io.Reader].
func (b *begun) Read(p []byte) (int, error) { return b.rest.Read(p) }
