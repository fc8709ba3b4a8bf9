package vm

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// DriverVariable names what runs virtual machines, where there is a choice.
const DriverVariable = "BOTTLE_VM_DRIVER"

// Driver starts virtual machines with one kind of monitor. Whichever it is, the
// machine has one network card, whose other end is the bottle's gateway, and one
// channel to the launcher, over which its init runs commands.
type Driver interface {
	// Name is what operators call it.
	Name() string
	// Check says what the driver needs of this host and does not find, as an
	// [engine.Problem]; else what machines will run on, in a few words. It is
	// called before a machine is started.
	Check(ctx context.Context) (runsOn string, err error)
	// boot starts the monitor as m.cmd and returns the channel to the machine's
	// init, which has said nothing yet.
	boot(ctx context.Context, p Parts, m *Machine) (net.Conn, error)
}

// DriverNames are the drivers, the best known first.
var DriverNames = []string{"qemu", "smolvm", "unixgram"}

// NewDriver returns the driver of a name, "" being the one that this system is
// used to. The environment says where its programs are.
func NewDriver(name string, getenv func(string) string) (Driver, error) {
	switch name {
	case "":
		if runtime.GOOS == "darwin" {
			return NewDriver("unixgram", getenv)
		}
		return NewDriver("qemu", getenv)
	case "qemu":
		return &qemuDriver{}, nil
	case "smolvm":
		return &smolvmDriver{getenv: getenv, kvm: "/dev/kvm", tun: "/dev/net/tun"}, nil
	case "unixgram":
		return &unixgramDriver{getenv: getenv, goos: runtime.GOOS}, nil
	}
	return nil, &engine.Problem{
		What:   fmt.Sprintf("there is no driver %.40q%s", name, wire.DidYouMean(name, DriverNames)),
		Remedy: "use one of " + strings.Join(DriverNames, ", ") + ", or none for the usual one",
	}
}
