package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// Backends, as the metadata name them.
const (
	Docker       = "docker"
	Smolmachines = "smolmachines"
)

// machineDir has what is a machine's own, in the state directory.
const machineDir = "machine"

// onMachine reports whether a bottle's agent is in a virtual machine.
func onMachine(m bottle.Metadata) bool { return m.Backend == Smolmachines }

// filesInside reports whether what the agent writes is seen from inside alone: a
// machine has a disk of its own, and gVisor keeps changes in a file of its own, so that
// the engine would show the image as it was.
func filesInside(m bottle.Metadata) bool { return onMachine(m) || m.Runtime == compose.GVisor }

// checkMachine makes sure that a machine can be started.
func (h *Host) checkMachine(ctx context.Context, r *Ready) (err error) {
	if r.Kit, err = vm.FindKit(h.Getenv); err != nil {
		return err
	}
	if r.Driver, err = vm.NewDriver(h.Getenv(vm.DriverVariable), h.Getenv); err != nil {
		return err
	}
	r.RunsOn, err = r.Driver.Check(ctx)
	return err
}

// monitor says what runs a machine.
func (r *Ready) monitor() string { return r.Driver.Name() + ", " + r.RunsOn }

// Runs says what the agent runs in, "" for the engine's usual runtime.
func (r *Ready) Runs(s *bundle.Spec) string {
	if s.Machine {
		return "a virtual machine (" + r.monitor() + ")"
	}
	return s.Runtime
}

// boot starts the machine of a bottle whose sidecars and gateway are ready.
func (b *Bottle) boot(ctx context.Context, r *Ready) error {
	p, err := b.machineParts(ctx, r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.state.Path("logs"), 0o700); err != nil {
		return fmt.Errorf("cannot keep the machine's console: %w", err)
	}
	console, err := os.OpenFile(b.state.Path("logs", "console.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot keep the machine's console: %w", err)
	}
	p.Console = console
	if err := os.RemoveAll(p.Run); err != nil {
		return fmt.Errorf("cannot make room for the machine: %w", err)
	}
	if err := os.Mkdir(p.Run, 0o700); err != nil {
		return fmt.Errorf("cannot make room for the machine: %w", err)
	}
	socket := b.state.Path(bundle.NetDir, bundle.Socket)
	if vm.OpensSocket(r.Driver) {
		p.Socket = socket
	} else if p.Wire, err = plug(ctx, socket); err != nil {
		return err
	}
	b.host.say("machine: booting (%s)", r.monitor())
	if b.machine, err = vm.Start(ctx, r.Driver, p); err != nil {
		_ = console.Close()
		if b.kept != nil {
			err = fmt.Errorf("%w (should the disk itself be beyond help, `launcher cleanup %s` gives up what is on it)", err, b.Spec.Identity)
		}
		return fmt.Errorf("%w; the last lines of its console were:\n%s", err, indent(lastLines(console.Name(), 5)))
	}
	if freed, err := b.host.TrimDisks(); err != nil {
		b.host.say("machine: %v", err)
	} else if freed != "" {
		b.host.say("machine: %s", freed)
	}
	return nil
}

// lastLines are the last lines of a console, which is kept fit to be printed.
func lastLines(file string, n int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// machineParts are what the machine is made of.
func (b *Bottle) machineParts(ctx context.Context, r *Ready) (vm.Parts, error) {
	s := b.Spec
	ref := images(s)["agent"]
	env, err := b.host.Engine.ImageEnv(ctx, ref)
	if err != nil {
		return vm.Parts{}, err
	}
	guest, err := s.Guest(env)
	if err != nil {
		return vm.Parts{}, err
	}
	guest.Layer = b.guestLayer()
	smol, err := s.SmolfileData()
	if err != nil {
		return vm.Parts{}, err
	}
	limits := bundle.Resources(s.Bottle)
	return vm.Parts{
		Config: vm.Config{
			Name: string(s.Identity), CPUs: max(1, int(math.Ceil(limits.CPUs))), Memory: limits.Memory,
			MAC: s.MachineMAC(), MTU: bundle.MachineMTU,
		},
		Kit: r.Kit, Guest: guest, Dir: b.state.Dir, Run: b.state.Path(machineDir), UID: s.UID, GID: s.GID,
		Disk: func(ctx context.Context) (string, error) {
			return vm.Image(ctx, b.host.disks(), r.Images[ref], func(ctx context.Context, w io.Writer) error {
				labels := map[string]string{engine.LabelIdentity: string(s.Identity), engine.LabelOwner: s.Owner}
				b.host.say("machine: making a disk of %s, once", ref)
				return b.host.Engine.Export(ctx, ref, labels, w)
			})
		},
		Archive: func(ctx context.Context, w io.Writer) error {
			b.host.say("machine: handing %s to %s", ref, r.Driver.Name())
			return b.host.Engine.Save(ctx, r.Images[ref], w)
		},
		Layer: layerOf(b.state), Smolfile: smol,
	}, nil
}

// plug connects with the gateway's socket, for the machine to inherit.
func plug(ctx context.Context, socket string) (*os.File, error) {
	c, err := vm.Dial(ctx, socket)
	if err != nil {
		return nil, fmt.Errorf("the gateway does not take the machine: %w", err)
	}
	defer c.Close()
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.New("the gateway's socket is none")
	}
	return u.File()
}

// exec runs a command in the guest of a bottle that is up: in its container, or
// in its machine. Machine is nil when another launcher holds it.
func (h *Host) exec(ctx context.Context, m bottle.Metadata, machine *vm.Machine, user string, argv []string, s engine.Streams) error {
	if !onMachine(m) {
		return h.Engine.Exec(ctx, container(m.Identity, "agent"), user, argv, s)
	}
	c, err := h.dialMachine(ctx, m, machine)
	if err != nil {
		return err
	}
	return vm.Exec(ctx, c, user, argv, s)
}

// dialMachine opens a stream for one command in a machine.
func (h *Host) dialMachine(ctx context.Context, m bottle.Metadata, machine *vm.Machine) (c net.Conn, err error) {
	if machine != nil {
		c, err = machine.Open()
	} else {
		c, err = vm.Dial(ctx, h.Home.State(m.Identity).Path(machineDir, vm.Socket))
	}
	if err != nil {
		return nil, fmt.Errorf("the machine of %s cannot be reached: %w", m.Identity, err)
	}
	return c, nil
}

// ExecOnCard runs a command in a machine that is up, as root and with the machine's
// network card for its descriptor 3.
func (h *Host) ExecOnCard(ctx context.Context, id bottle.Identity, argv []string, s engine.Streams) error {
	c, err := h.dialMachine(ctx, bottle.Metadata{Identity: id}, nil)
	if err != nil {
		return err
	}
	return vm.ExecOnCard(ctx, c, "root", argv, s)
}

// pack writes a directory of the machine's to w, as an archive. What is in it is
// the guest's word; nothing of the host's relies on it.
func (h *Host) pack(ctx context.Context, m bottle.Metadata, machine *vm.Machine, parent, name string, w io.Writer) error {
	err := h.exec(ctx, m, machine, "agent", []string{"tar", "-c", "-f", "-", "-C", parent, name}, engine.Streams{Out: engine.AtMost(w), Err: io.Discard})
	var status engine.ExitStatus
	if errors.As(err, &status) && status == 1 { // files that changed meanwhile
		return nil
	}
	return err
}

// watched is ctx until the machine ends, with the machine's end as the cause.
func (b *Bottle) watched(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if b.machine != nil {
		go func() {
			select {
			case <-b.machine.Ended():
				cancel(&Lost{Component: "agent", What: "was switched off"})
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// stopMachine ends the machine, if there is one, and removes what was its own, its
// disk included where that is not kept.
func (b *Bottle) stopMachine(keep bool) error {
	var errs []error
	if b.machine != nil {
		errs = append(errs, b.machine.Stop())
	}
	if !keep {
		errs = append(errs, layerOf(b.state).Remove())
	}
	return errors.Join(append(errs, os.RemoveAll(b.state.Path(machineDir)), os.RemoveAll(b.state.Path(bundle.NetDir)))...)
}

// insideWorkspace is the parent of the workspace, and its name there.
func insideWorkspace() (parent, name string) {
	return filepath.Dir(compose.WorkspaceDir), filepath.Base(compose.WorkspaceDir)
}
