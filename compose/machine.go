package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Machine is what an agent's service says of a virtual machine that takes its
// place: the same environment, names and files as in a container.
type Machine struct {
	Env     map[string]string
	Hosts   map[string]string
	Mounts  []Mount
	User    string
	WorkDir string
}

// Mount is a part of the bundle that the agent sees, read-only.
type Mount struct{ Source, Target string }

// MachineOf reads the machine off a plan: it loads what [Render] renders and
// takes the agent's service, which a bottle with a machine does not have.
func MachineOf(p Plan) (Machine, error) {
	m := Machine{Env: map[string]string{}, Hosts: map[string]string{}, WorkDir: WorkspaceDir}
	if err := p.check(); err != nil {
		return m, err
	}
	project, err := load(p.files(), p.variables(), Project(p.Identity))
	if err != nil {
		return m, fmt.Errorf("compose: the fragments do not load: %w", err)
	}
	p.fill(project)
	agent := project.Services["agent"]
	m.User = agent.User
	for k, v := range agent.Environment {
		if v != nil {
			m.Env[k] = *v
		}
	}
	for name, addresses := range agent.ExtraHosts {
		if len(addresses) == 1 {
			m.Hosts[name] = addresses[0]
		}
	}
	for _, v := range agent.Volumes {
		if v.Type != types.VolumeTypeBind || !v.ReadOnly {
			return m, fmt.Errorf("compose: %s cannot be shown in a virtual machine, which sees files of the bundle only", v.Source)
		}
		m.Mounts = append(m.Mounts, Mount{Source: strings.TrimPrefix(v.Source, "./"), Target: v.Target})
	}
	return m, nil
}

// MachineAddress is the address of a virtual machine on its own network, which has
// the addresses of the inside network: the gateway answers for the sidecars.
func (n Nets) MachineAddress() netip.Addr { return n.inside(3) }

// MachineGateway is the gateway's address, and the resolver's, on that network.
func (n Nets) MachineGateway() netip.Addr { return n.inside(1) }

// replaceAgent puts the gateway where the agent stands.
func replaceAgent(project *types.Project) {
	gateway := project.Services["gateway"]
	gateway.DependsOn = project.Services["agent"].DependsOn
	project.Services["gateway"] = gateway
	delete(project.Services, "agent")
}

// guestOf is the service that faces the agent: the agent itself, or the gateway
// of its machine.
func guestOf(p *types.Project) string {
	if _, ok := p.Services["gateway"]; ok {
		return "gateway"
	}
	return "agent"
}

// lintGateway holds the rules of the gateway's own.
func lintGateway(s types.ServiceConfig, say func(string, ...any)) {
	if s.Name != "gateway" {
		return
	}
	for _, v := range s.Volumes {
		if !slices.Contains([]string{"config/gateway", "net", "audit/gateway"}, strings.TrimPrefix(v.Source, "./")) {
			say("mounts %s; the gateway sees its configuration, its socket and its audit", v.Source)
		}
	}
	if len(s.Networks) != 1 {
		say("is on more than the agent's network")
	}
}
