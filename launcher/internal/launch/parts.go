package launch

import (
	"maps"

	"github.com/bottlesuite/bottle/internal/bottle"
)

// parts says which sidecars stand in a bottle beside pipelockd.
type parts struct{ routes, git, supervise, machine bool }

// partsOf reads them off the metadata of a launch.
func partsOf(m bottle.Metadata) parts {
	return parts{routes: m.CA["egress"] != "", git: m.Git, supervise: m.Supervise, machine: onMachine(m)}
}

// binaries are what runs in each service.
var binaries = map[string]string{"pipelock": "/pipelockd", "egress": "/egressd", "git-gate": "/gitgated", "supervise": "/superviserd", "gateway": "/gateway"}

// sidecars maps each service that stands to the binary in it.
func (p parts) sidecars() map[string]string {
	out := maps.Clone(binaries)
	if !p.routes {
		delete(out, "egress")
	}
	if !p.git {
		delete(out, "git-gate")
	}
	if !p.supervise {
		delete(out, "supervise")
	}
	if !p.machine {
		delete(out, "gateway")
	}
	return out
}

// services are the names of a bottle's services.
func (p parts) services() []string {
	out := []string{p.guest(), "pipelock"}
	if p.routes {
		out = append(out, "egress")
	}
	if p.git {
		out = append(out, "git-gate")
	}
	if p.supervise {
		out = append(out, "supervise")
	}
	return out
}

// components are the containers of a bottle, by label. What others stand on
// comes first.
func (p parts) components() []string {
	out := []string{"pipelockd"}
	if p.routes {
		out = append(out, "egressd")
	}
	if p.git {
		out = append(out, "gitgated")
	}
	if p.supervise {
		out = append(out, "superviserd")
	}
	return append(out, p.guest())
}

// guest is the container that faces the agent: the agent's own, or the gateway of
// its machine. Service and component have the same name.
func (p parts) guest() string {
	if p.machine {
		return "gateway"
	}
	return "agent"
}
