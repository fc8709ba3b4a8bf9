package compose

import (
	"bytes"
	_ "embed"
	"encoding/json"
)

// profile is Docker's own default seccomp profile, narrowed. It is derived from
// default.json of github.com/moby/profiles/seccomp v0.3.0 (Apache License 2.0),
// of which testdata/moby-seccomp.json is a copy; TestSeccompGolden holds the
// rules by which the one becomes the other. To refresh it, replace that copy by
// the default.json of a newer version, run `go test -run Seccomp -update`, read
// the diff, and change the version here.
//
// It is shipped because the profile that holds by default is the engine's, and
// an old engine's is too wide: that of Docker 20.10 opens vsock, which leads to
// the hypervisor past every network namespace, and io_uring, whose requests no
// filter sees. Ours allows sockets of the families AF_UNIX, AF_INET, AF_INET6
// and, for the listing of interfaces, AF_NETLINK with NETLINK_ROUTE. It knows
// the machine's own ABI alone: the one for 32-bit programs takes all socket
// calls through one door, socketcall, behind which a filter cannot look.
//
//go:embed seccomp.json
var profile []byte

// SeccompFile is the place of the profile in a bundle.
const SeccompFile = "config/seccomp.json"

// securityOptions are those of every service, in their order.
var securityOptions = []string{"no-new-privileges:true", "seccomp=./" + SeccompFile}

// Seccomp returns the seccomp profile of every container of a bottle.
func Seccomp() []byte { return bytes.Clone(profile) }

// SeccompOption returns the security option of which an engine tells that has
// taken the profile.
func SeccompOption() string {
	var b bytes.Buffer
	b.WriteString("seccomp=")
	if err := json.Compact(&b, profile); err != nil {
		panic("compose: the embedded seccomp profile is not JSON: " + err.Error()) // TestSeccompGolden reads it
	}
	return b.String()
}
