// Package compose turns the plan of one bottle into a Compose file.
//
// The topology is not in the Go code but in the YAML fragments beside it: one
// per service (egressd.yaml, pipelockd.yaml, agent.yaml), each readable and
// runnable alone, and overlays that join them (routes.yaml or no-routes.yaml,
// runsc.yaml). [Render] interpolates the plan's addresses, names and limits
// into the fragments, merges them as `docker compose -f a -f b` would, adds
// what has no place in a fragment (the agent's environment and the list of
// token files), and refuses to return a file that breaks one of the invariants
// in lint.go. It is pure: a plan in, bytes out, nothing read or written.
//
// To change a network or a limit, edit the YAML; to forbid something for good,
// add it to the lint.
package compose

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
)

// GVisor is the runtime whose guests have a kernel of their own, by the name under
// which engines register it.
const GVisor = "runsc"

// Plan is everything about one bottle that its Compose file depends on.
type Plan struct {
	// Identity names the launch; the project is called "bottle-" + Identity.
	Identity string
	Agent    string
	Bottle   string
	// Owner is the state directory's home, a label that keeps the cleanup of
	// one home away from the containers of another.
	Owner string
	// Routes tells whether egressd stands between the agent and pipelockd.
	Routes bool
	// Supervise tells whether superviserd stands in the bottle.
	Supervise bool
	// Git tells whether gitgated stands in the bottle.
	Git bool
	// Machine tells whether the agent runs in a virtual machine, whose gateway then
	// stands in its place.
	Machine bool
	// Runtime is the agent's runtime: "" for the engine's default, or [GVisor].
	Runtime string

	Images Images
	// Pinned says that Images are ids or digests, which name one image for good. A
	// launch pins them; a bundle for others has names.
	Pinned bool
	Nets   Nets
	// UID and GID are what the sidecars run as.
	UID, GID int
	// Tokens are the names of the token files that egressd reads.
	Tokens []string
	// GitSecrets are the names of the key and token files that gitgated reads.
	GitSecrets []string
	// Hosts pins names to addresses, for gitgated.
	Hosts map[string]string
	// Env is the agent's environment, taken literally.
	Env map[string]string
	// Workspace is a directory of the host that is mounted, writable, over the
	// agent's workspace; "" for none. It is the one mount from outside of the
	// bundle, and exists only where the operator asked for it by name.
	Workspace string
	Resources Resources
}

// Images are the image references of the services.
type Images struct{ Egressd, Pipelockd, Gitgated, Superviserd, Gateway, Agent string }

// DefaultImages are the images that `make images` builds.
var DefaultImages = Images{
	Egressd: "bottle/egressd:dev", Pipelockd: "bottle/pipelockd:dev", Gitgated: "bottle/gitgated:dev", Superviserd: "bottle/superviserd:dev", Gateway: "bottle/gateway:dev", Agent: "bottle/agent-shell:dev",
}

// Resources limit the agent.
type Resources struct {
	CPUs   float64
	Memory int64 // bytes
	Pids   int64
}

// DefaultResources hold where a manifest is silent.
var DefaultResources = Resources{CPUs: 2, Memory: 4 << 30, Pids: 512}

// Nets are the subnets of the bottle's networks.
type Nets struct{ Inside, Outside netip.Prefix }

// SplitNets cuts a /27 into the two /28 of a bottle.
func SplitNets(block netip.Prefix) (Nets, error) {
	if !block.IsValid() || !block.Addr().Is4() || block.Bits() != 27 {
		return Nets{}, fmt.Errorf("the subnet %s of a bottle is not an IPv4 /27", block)
	}
	low := block.Masked().Addr()
	high := low.As4()
	high[3] += 16
	return Nets{Inside: netip.PrefixFrom(low, 28), Outside: netip.PrefixFrom(netip.AddrFrom4(high), 28)}, nil
}

// ProxyAddress is the fixed address of the agent's proxy and resolver in the
// inside network: the one after the place of the gateway that it does not have.
func (n Nets) ProxyAddress() netip.Addr { return n.Inside.Masked().Addr().Next().Next() }

// AgentAddress is the fixed address of the agent, or of its machine's gateway: left
// to choose, the engine would give whoever starts first the address of the proxy.
func (n Nets) AgentAddress() netip.Addr { return n.inside(3) }

// SuperviseAddress is the fixed address of superviserd in the inside network, the
// last one, which the engine gives to nobody by itself.
func (n Nets) SuperviseAddress() netip.Addr {
	return n.inside(14)
}

// GitAddress is the fixed address of gitgated in the inside network.
func (n Nets) GitAddress() netip.Addr { return n.inside(13) }

func (n Nets) inside(host byte) netip.Addr {
	a := n.Inside.Masked().Addr().As4()
	a[3] += host
	return netip.AddrFrom4(a)
}

// Project is the name of the Compose project of an identity.
func Project(identity string) string { return "bottle-" + identity }

var (
	nameShape  = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	tokenShape = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	envShape   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// secrets are the names of all secret files, each once.
func (p *Plan) secrets() []string {
	all := slices.Concat(p.Tokens, p.GitSecrets)
	slices.Sort(all)
	return slices.Compact(all)
}

// check refuses a plan whose values could mean something else in YAML, in a
// shell or to the engine.
func (p *Plan) check() error {
	for _, n := range []string{p.Identity, p.Agent, p.Bottle} {
		if !nameShape.MatchString(n) {
			return fmt.Errorf("compose: %q is not a name of lower-case letters, digits and hyphens", n)
		}
	}
	if len(p.Identity) > 63 {
		return fmt.Errorf("compose: the identity %q is longer than a host name may be", p.Identity)
	}
	if p.UID <= 0 || p.GID < 0 {
		return fmt.Errorf("compose: sidecars do not run as root; uid %d, gid %d", p.UID, p.GID)
	}
	for _, n := range p.secrets() {
		if !tokenShape.MatchString(n) {
			return fmt.Errorf("compose: %q cannot name a token file", n)
		}
	}
	if len(p.Tokens) > 0 && !p.Routes {
		return fmt.Errorf("compose: a bottle without routes has nobody to give tokens to")
	}
	if len(p.GitSecrets) > 0 && !p.Git {
		return fmt.Errorf("compose: a bottle without git remotes has nobody to give their keys to")
	}
	for k := range p.Env {
		if !envShape.MatchString(k) {
			return fmt.Errorf("compose: %q cannot name an environment variable", k)
		}
	}
	if p.Workspace != "" && (!path.IsAbs(p.Workspace) || path.Clean(p.Workspace) != p.Workspace || p.Workspace == "/") {
		return fmt.Errorf("compose: the workspace %q is not the plain absolute path of a directory", p.Workspace)
	}
	if p.Machine && (p.Runtime != "" || p.Workspace != "") {
		return fmt.Errorf("compose: a virtual machine has no runtime of the engine's, and mounts no directory of the host")
	}
	if p.Runtime != "" && p.Runtime != GVisor {
		return fmt.Errorf("compose: the runtime %q is not known", p.Runtime)
	}
	if p.Resources.CPUs <= 0 || p.Resources.Memory <= 0 || p.Resources.Pids <= 0 {
		return fmt.Errorf("compose: the agent needs limits of CPUs, memory and processes")
	}
	for _, n := range []netip.Prefix{p.Nets.Inside, p.Nets.Outside} {
		if !n.IsValid() || !n.Addr().Is4() {
			return fmt.Errorf("compose: the bottle has no subnets")
		}
	}
	return nil
}
