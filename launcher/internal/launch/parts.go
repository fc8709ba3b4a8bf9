package launch

import (
	"maps"

	"github.com/bottlesuite/bottle/internal/bottle"
)

// parts says which sidecars stand in a bottle beside pipelockd.
type parts struct{ routes, git, supervise bool }

// partsOf reads them off the metadata of a launch.
func partsOf(m bottle.Metadata) parts {
	return parts{routes: m.CA["egress"] != "", git: m.Git, supervise: m.Supervise}
}

// binaries are what runs in each service.
var binaries = map[string]string{"pipelock": "/pipelockd", "egress": "/egressd", "git-gate": "/gitgated", "supervise": "/superviserd"}

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
	return out
}

// services are the names of a bottle's services.
func (p parts) services() []string {
	out := []string{"agent", "pipelock"}
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
	return append(out, "agent")
}
