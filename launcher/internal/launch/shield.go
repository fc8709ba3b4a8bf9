package launch

import (
	"errors"
	"io/fs"
	"os"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// sysctls is where the kernel has its settings of the network.
const sysctls = "/proc/sys/net/"

// shield takes the host out of a bottle's own bridge as far as the engine leaves it
// there. A bridge without an address of the host's still hands broadcasts and
// multicasts up to it, and so to every service that listens for datagrams on all
// addresses: the kernel drops them once it wants to see that an answer would go back
// the same way, which on that bridge none does. And every engine leaves the bridge
// of a network without IPv6 a link-local address, which goes when the bridge has none
// of that family. The settings end with the bridge.
func (b *Bottle) shield(ns []engine.Network) {
	for _, n := range ns {
		if n.Labels["bottle.component"] == "outside" {
			continue
		}
		for _, s := range []struct{ file, value, without string }{
			{"ipv4/conf/" + bridgeOf(n) + "/rp_filter", "1", "services that listen for datagrams hear broadcasts of the guest"},
			{"ipv6/conf/" + bridgeOf(n) + "/disable_ipv6", "1", "it has a link-local address on the guest's bridge"},
		} {
			err := os.WriteFile(sysctls+s.file, []byte(s.value), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // there is no such bridge where the engine runs elsewhere
				b.host.say("host: %s, because %s is root's to set (%v)", s.without, s.file, err)
				return
			}
		}
	}
}
