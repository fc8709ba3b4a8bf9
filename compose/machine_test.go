package compose

import (
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestMachineIsTheAgent(t *testing.T) {
	p := plan(t, func(p *Plan) {
		p.Machine, p.Git, p.Supervise = true, true, true
		p.Env = map[string]string{"TZ": "UTC", "PRICE": "$5"}
	})
	m, err := MachineOf(p)
	if err != nil {
		t.Fatal(err)
	}
	if m.User != "agent" || m.Env["TZ"] != "UTC" || m.Env["PRICE"] != "$5" || m.Env["HTTPS_PROXY"] != "http://egress:9099" || m.Env["BOTTLE_MCP_URL"] == "" {
		t.Errorf("%+v", m)
	}
	if m.Hosts["egress"] != "10.213.7.66" || m.Hosts["git-gate"] != "10.213.7.77" || m.Hosts["supervise"] != "10.213.7.78" {
		t.Errorf("hosts: %v", m.Hosts)
	}
	if !slices.Contains(m.Mounts, Mount{"ca/agent", "/etc/ssl/certs"}) {
		t.Errorf("mounts: %v", m.Mounts)
	}
	if p.Nets.MachineGateway().String() != "10.213.7.65" || p.Nets.MachineAddress().String() != "10.213.7.67" {
		t.Error("addresses")
	}
}

func TestMachineRefuses(t *testing.T) {
	for _, change := range []func(*Plan){func(p *Plan) { p.Runtime = "runsc" }, func(p *Plan) { p.Workspace = "/home/op/project" }} {
		p := plan(t, change)
		p.Machine = true
		if _, err := Render(p); err == nil || !strings.Contains(err.Error(), "virtual machine") {
			t.Error(err)
		}
	}
}

func TestLintGateway(t *testing.T) {
	for want, spoil := range map[string]func(*types.Project){
		"more than the agent's": func(p *types.Project) {
			s := p.Services["gateway"]
			s.Networks = map[string]*types.ServiceNetworkConfig{"inside": nil, "outside": nil}
			p.Services["gateway"] = s
		},
		"sees its configuration": func(p *types.Project) {
			s := p.Services["gateway"]
			s.Volumes = append(s.Volumes, types.ServiceVolumeConfig{Type: "bind", Source: "./ca/egress", Target: "/x", ReadOnly: true})
			p.Services["gateway"] = s
		},
		"for gateway alone": func(p *types.Project) {
			s := p.Services["egress"]
			s.Volumes = append(s.Volumes, types.ServiceVolumeConfig{Type: "bind", Source: "./net", Target: "/x"})
			p.Services["egress"] = s
		},
		"can start without egress": func(p *types.Project) {
			s := p.Services["gateway"]
			s.DependsOn = nil
			p.Services["gateway"] = s
		},
	} {
		p := plan(t, func(p *Plan) { p.Machine = true })
		project, err := load(p.files(), p.variables(), Project(p.Identity))
		if err != nil {
			t.Fatal(err)
		}
		replaceAgent(project)
		if err := Lint(project, Terms{}); err != nil {
			t.Fatal(err)
		}
		spoil(project)
		if err := Lint(project, Terms{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
