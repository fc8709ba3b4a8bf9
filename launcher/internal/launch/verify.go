package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

const inhibit = "com.docker.network.bridge.inhibit_ipv4"

// Inspect holds what the engine has made of a bottle that is up against what was
// asked for, again. Roots are the only places of the host that its containers may
// see.
func (h *Host) Inspect(ctx context.Context, m bottle.Metadata, roots ...string) error {
	return h.inspect(ctx, string(m.Identity), partsOf(m), roots...)
}

// InspectBundle is [Host.Inspect] for a rendered bundle that plain Compose runs.
func (h *Host) InspectBundle(ctx context.Context, identity string, routes, git, supervise bool, roots ...string) error {
	return h.inspect(ctx, identity, parts{routes: routes, git: git, supervise: supervise}, roots...)
}

func (h *Host) inspect(ctx context.Context, identity string, p parts, roots ...string) error {
	ns, err := h.Engine.Networks(ctx, engine.LabelIdentity+"="+identity)
	if err != nil {
		return err
	}
	return h.isolated(ctx, identity, ns, p, roots...)
}

func (h *Host) isolated(ctx context.Context, identity string, ns []engine.Network, p parts, roots ...string) error {
	label := engine.LabelIdentity + "=" + identity
	cs, err := h.Engine.Containers(ctx, label)
	if err != nil {
		return err
	}
	vs, err := h.Engine.Volumes(ctx, label)
	if err != nil {
		return err
	}
	return expect(identity, p, roots...).check(cs, ns, vs)
}

// expected is what must stand once a bottle is up.
type expected struct {
	// networks maps a component to the networks that it is on.
	networks map[string][]string
	// roots are the only places of the host that containers may see.
	roots []string
	// hop is the volume in which the proxies meet, "" where there are not two.
	hop string
}

func expect(identity string, p parts, roots ...string) expected {
	e := expected{roots: roots, hop: compose.HopName(compose.Project(identity)), networks: map[string][]string{
		p.guest(): {"inside"}, "egressd": {"inside"}, "pipelockd": {"outside"},
	}}
	if !p.routes {
		e.hop = ""
		e.networks = map[string][]string{p.guest(): {"inside"}, "pipelockd": {"inside", "outside"}}
	}
	if p.git {
		e.networks["gitgated"] = []string{"inside", "outside"}
	}
	if p.supervise {
		e.networks["superviserd"] = []string{"inside"}
	}
	return e
}

// check holds what the engine made against what was asked for. An engine may
// ignore an option without a word, so nothing is believed that was not seen.
func (e expected) check(cs []engine.Container, ns []engine.Network, vs []engine.Volume) error {
	var errs []error
	names := map[string]string{} // network id to component
	seen := map[string]bool{}
	for _, n := range ns {
		c := n.Labels["bottle.component"]
		names[n.ID], seen[c] = c, true
		errs = append(errs, checkNetwork(c, n))
	}
	for c, nets := range e.networks {
		if i := slices.IndexFunc(cs, func(x engine.Container) bool { return x.Component() == c }); i < 0 {
			errs = append(errs, fmt.Errorf("there is no container %s", c))
		}
		for _, n := range nets {
			if !seen[n] {
				errs = append(errs, fmt.Errorf("there is no network %s", n))
			}
		}
	}
	errs = append(errs, e.checkHop(cs, vs))
	for _, c := range cs {
		errs = append(errs, e.checkContainer(c, names))
	}
	return errors.Join(errs...)
}

func checkNetwork(component string, n engine.Network) error {
	if n.EnableIPv6 {
		return fmt.Errorf("the network %s has IPv6", component)
	}
	if component == "outside" {
		return nil
	}
	if component != "inside" {
		return fmt.Errorf("the network %s is none of the bottle's", n.Name)
	}
	if !n.Internal || n.Driver != "bridge" {
		return fmt.Errorf("the network %s is not internal", component)
	}
	if n.Options[inhibit] != "true" {
		return fmt.Errorf("the engine dropped the option %s of the network %s", inhibit, component)
	}
	if a := hostAddress(n); a != "" {
		return fmt.Errorf("the host has the address %s in the network %s, so its own services are within reach", a, component)
	}
	return nil
}

// bridgeOf is the name of a network's bridge on the engine's host.
func bridgeOf(n engine.Network) string {
	name := n.Options["com.docker.network.bridge.name"]
	if name == "" && len(n.ID) >= 12 {
		name = "br-" + n.ID[:12]
	}
	return name
}

// hostAddress is an IPv4 address that this host has on the network's bridge, ""
// when it has none or when the engine runs elsewhere.
func hostAddress(n engine.Network) string {
	bridge, err := net.InterfaceByName(bridgeOf(n))
	if err != nil {
		return ""
	}
	addrs, err := bridge.Addrs()
	if err != nil {
		return "that cannot be read"
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	return ""
}

func (e expected) checkContainer(c engine.Container, networks map[string]string) error {
	component := c.Component()
	want, ok := e.networks[component]
	if !ok {
		return fmt.Errorf("the container %s is none of the bottle's", c.Name)
	}
	h := c.HostConfig
	switch {
	case !slices.Equal(list(h.CapDrop), []string{"ALL"}) || len(list(h.CapAdd)) > 0 || h.Privileged:
		return fmt.Errorf("%s kept capabilities", component)
	case !slices.Contains(list(h.SecurityOpt), "no-new-privileges:true"):
		return fmt.Errorf("%s may gain privileges", component)
	case !slices.Contains(list(h.SecurityOpt), compose.SeccompOption()):
		return fmt.Errorf("%s is without the bottle's seccomp profile", component)
	case component != "agent" && !h.ReadonlyRootfs:
		return fmt.Errorf("the root file system of %s is writable", component)
	case h.Sysctls["net.ipv6.conf.all.disable_ipv6"] != "1":
		return fmt.Errorf("%s has IPv6", component)
	case h.PidsLimit == nil || *h.PidsLimit <= 0 || h.Memory <= 0:
		return fmt.Errorf("%s has no limit of processes or memory", component)
	case string(h.Devices) != "null" && len(h.Devices) > 0 && string(h.Devices) != "[]":
		return fmt.Errorf("%s has devices", component)
	case slices.Contains([]string{h.NetworkMode, h.PidMode, h.IpcMode, h.UTSMode, h.UsernsMode}, "host"):
		return fmt.Errorf("%s shares a namespace with the host", component)
	case c.Config.User == "" || strings.HasPrefix(c.Config.User, "0") || strings.HasPrefix(c.Config.User, "root"):
		return fmt.Errorf("%s runs as root", component)
	}
	for port, bound := range c.NetworkSettings.Ports {
		if len(bound) > 0 {
			return fmt.Errorf("%s publishes the port %s", component, port)
		}
	}
	for _, m := range c.Mounts {
		if err := e.checkMount(component, m); err != nil {
			return err
		}
	}
	var on []string
	for _, n := range c.NetworkSettings.Networks {
		on = append(on, networks[n.NetworkID])
	}
	slices.Sort(on)
	if !slices.Equal(on, want) {
		return fmt.Errorf("%s is on the networks %q instead of %q", component, on, want)
	}
	return nil
}

func (e expected) checkMount(component string, m engine.Mount) error {
	switch {
	case strings.Contains(m.Source, "/queue/") && (component != "superviserd" || strings.HasSuffix(m.Source, "/decisions") && m.RW):
		return fmt.Errorf("%s sees %s of the queue as it must not", component, m.Source)
	case filepath.Base(m.Source) == "mirrors" && component != "gitgated":
		return fmt.Errorf("%s sees the mirrors of the git gate", component)
	case m.Type == "bind" && !e.within(m.Source):
		return fmt.Errorf("%s sees %s of the host", component, m.Source)
	case m.Type == "volume" && m.Name == e.hop && proxies[component] != "": // checkHop's
	case m.Type == "volume" && (component != "agent" || !anonymous.MatchString(m.Name)):
		return fmt.Errorf("%s sees the volume %s", component, m.Name)
	}
	return nil
}

// anonymous is a volume that an engine made for an image that wants one, and deletes
// with its container.
var anonymous = regexp.MustCompile(`^[0-9a-f]{64}$`)

// proxies are the services of those who meet at the hop, by component.
var proxies = map[string]string{"egressd": "egress", "pipelockd": "pipelock"}

// checkHop wants the place where the proxies meet to be as it was asked for: an engine
// takes a volume that is there already, which may be any directory of its host.
func (e expected) checkHop(cs []engine.Container, vs []engine.Volume) error {
	for _, v := range vs {
		if v.Name != e.hop {
			return fmt.Errorf("the volume %s is none of the bottle's", v.Name)
		}
	}
	if e.hop == "" {
		return nil
	}
	if len(vs) == 0 {
		return fmt.Errorf("there is no volume %s", e.hop)
	}
	for _, c := range cs {
		service := proxies[c.Component()]
		if service == "" {
			continue
		}
		if v := vs[0]; v.Driver != "local" || !maps.Equal(v.Options, compose.HopOptions(c.Config.User)) {
			return fmt.Errorf("the volume %s is not in memory and of the sidecars' user", v.Name)
		}
		var at []string
		for _, m := range c.Mounts {
			if m.Type == "volume" {
				at = append(at, fmt.Sprint(m.Name, m.Destination, m.RW))
			}
		}
		if want := fmt.Sprint(e.hop, compose.HopDir, !compose.HopReadOnly[service]); !slices.Equal(at, []string{want}) {
			return fmt.Errorf("%s does not see the socket between the proxies as it must", c.Component())
		}
	}
	return nil
}

func (e expected) within(source string) bool {
	for _, root := range e.roots {
		if rel, err := filepath.Rel(root, source); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// list reads a list that the engine may print as null.
func list(raw json.RawMessage) []string {
	var l []string
	_ = json.Unmarshal(raw, &l) // another shape is no list, and judged as empty
	return l
}
