package smolfile

import (
	"fmt"
	"net/netip"
	"path"
	"reflect"
	"strings"
)

// Confined says what in a file would give the machine more than a bottle's has: a
// port or writable directory of the host, a credential, another way out than to
// single addresses, or a life of its own. Nil is nothing.
func (f File) Confined() error {
	switch {
	case f.Image != "":
		return tooMuch("image", "the image is given on the command line, as the archive that was looked at")
	case len(f.Ports) > 0:
		return tooMuch("ports", "nothing of a bottle listens on the host")
	case len(f.Init) > 0:
		return tooMuch("init", "the bottle's init is the entrypoint")
	case len(f.Secrets) > 0:
		return tooMuch("secrets", "no token reaches a machine")
	case f.Dev != nil, f.Artifact != nil, f.Service != nil, f.Health != nil:
		return tooMuch("dev, artifact, service or health", "they add to what stands elsewhere")
	case f.Auth == nil || f.Auth.SSHAgent:
		return tooMuch("auth.ssh_agent", "it must be there and false")
	case f.Restart == nil || f.Restart.Policy != "never":
		return tooMuch("restart.policy", `it must be there and "never"`)
	case !f.Net || f.Network == nil || len(f.Network.AllowHosts) > 0:
		return tooMuch("network", "it must allow addresses and no names")
	}
	if len(f.Network.AllowCIDRs) == 0 {
		return tooMuch("network.allow_cidrs", "an empty list allows everything")
	}
	for _, c := range f.Network.AllowCIDRs {
		if p, err := netip.ParsePrefix(c); err != nil || !p.IsSingleIP() || !p.Addr().IsPrivate() {
			return tooMuch("network.allow_cidrs", fmt.Sprintf("%q is not a single private address", c))
		}
	}
	for _, v := range f.Volumes {
		part := strings.Split(v, ":")
		if len(part) != 3 || part[2] != "ro" || !strings.HasPrefix(part[0], "./") || strings.HasPrefix(path.Clean(part[0]), "..") {
			return tooMuch("volumes", fmt.Sprintf("%q is not a directory of the bottle's own, read-only", v))
		}
	}
	return nil
}

func tooMuch(key, why string) error {
	return fmt.Errorf("the Smolfile gives the machine more than a bottle's has, by %s: %s", key, why)
}

// keys are the names of a table's keys.
func keys(table any) []string {
	t := reflect.TypeOf(table)
	var out []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		out = append(out, name)
	}
	return out
}
