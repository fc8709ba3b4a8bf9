package compose

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v4"
)

// quiet silences the loader's logger once.
var quiet sync.Once

//go:embed egressd.yaml pipelockd.yaml superviserd.yaml gitgated.yaml gateway.yaml agent.yaml routes.yaml no-routes.yaml supervise.yaml git.yaml runsc.yaml
var fragments embed.FS

// header stands at the top of every rendered file.
const header = `# Written by the launcher for one bottle. Change the manifest, not this file.
`

// Render returns the Compose file of a bottle.
func Render(p Plan) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	project, err := load(p.files(), p.variables(), Project(p.Identity))
	if err != nil {
		return nil, fmt.Errorf("compose: the fragments do not load: %w", err)
	}
	p.fill(project)
	if p.Machine {
		replaceAgent(project)
	}
	if err := Lint(project, p.terms()); err != nil {
		return nil, err
	}
	out, err := marshal(project, p.secrets())
	if err != nil {
		return nil, fmt.Errorf("compose: cannot marshal the project: %w", err)
	}
	if err := p.verify(out); err != nil {
		return nil, fmt.Errorf("compose: the rendered file does not read back as it was meant: %w", err)
	}
	return out, nil
}

func (p *Plan) terms() Terms { return Terms{Workspace: p.Workspace, Pinned: p.Pinned} }

// files are the fragments that a plan merges, in order.
func (p *Plan) files() []string {
	f := []string{"agent.yaml", "pipelockd.yaml"}
	if p.Routes {
		f = append(f, "egressd.yaml", "routes.yaml")
	} else {
		f = append(f, "no-routes.yaml")
	}
	if p.Supervise {
		f = append(f, "superviserd.yaml", "supervise.yaml")
	}
	if p.Git {
		f = append(f, "gitgated.yaml", "git.yaml")
	}
	if p.Machine {
		f = append(f, "gateway.yaml")
	}
	if p.Runtime == GVisor {
		f = append(f, "runsc.yaml")
	}
	return f
}

// variables are the values of the variables that the fragments document.
func (p *Plan) variables() types.Mapping {
	return types.Mapping{
		"BOTTLE_IDENTITY": p.Identity, "BOTTLE_AGENT": p.Agent, "BOTTLE_NAME": p.Bottle, "BOTTLE_OWNER": p.Owner,
		"BOTTLE_EGRESSD_IMAGE": p.Images.Egressd, "BOTTLE_PIPELOCKD_IMAGE": p.Images.Pipelockd, "BOTTLE_AGENT_IMAGE": p.Images.Agent,
		"BOTTLE_SUPERVISERD_IMAGE": p.Images.Superviserd, "BOTTLE_SUPERVISE_ADDRESS": p.Nets.SuperviseAddress().String(),
		"BOTTLE_GITGATED_IMAGE": p.Images.Gitgated, "BOTTLE_GIT_ADDRESS": p.Nets.GitAddress().String(),
		"BOTTLE_GATEWAY_IMAGE": p.Images.Gateway, "BOTTLE_AGENT_ADDRESS": p.Nets.AgentAddress().String(),
		"BOTTLE_UID": strconv.Itoa(p.UID), "BOTTLE_GID": strconv.Itoa(p.GID),
		"BOTTLE_INSIDE_SUBNET": p.Nets.Inside.String(), "BOTTLE_INSIDE_ADDRESS": p.Nets.ProxyAddress().String(),
		"BOTTLE_OUTSIDE_SUBNET": p.Nets.Outside.String(),
		"BOTTLE_CPUS":           strconv.FormatFloat(p.Resources.CPUs, 'f', -1, 64),
		"BOTTLE_MEMORY":         strconv.FormatInt(p.Resources.Memory, 10), "BOTTLE_PIDS": strconv.FormatInt(p.Resources.Pids, 10),
	}
}

// load merges embedded fragments. The environment of the process plays no part.
func load(names []string, vars types.Mapping, project string) (*types.Project, error) {
	details := types.ConfigDetails{WorkingDir: ".", Environment: vars}
	for _, n := range names {
		data, err := fragments.ReadFile(n)
		if err != nil {
			return nil, err
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: n, Content: data})
	}
	return loadStrict(details, project)
}

// loadStrict loads without anything that reads other files.
func loadStrict(details types.ConfigDetails, project string) (*types.Project, error) {
	quiet.Do(func() { logrus.SetOutput(io.Discard) }) // the loader warns through the global logger
	p, err := loader.LoadWithContext(context.Background(), details, func(o *loader.Options) {
		o.SetProjectName(project, true)
		o.SkipExtends, o.SkipInclude, o.SkipResolveEnvironment = true, true, true
		o.ResolvePaths = false
	})
	if err != nil {
		return nil, err
	}
	if p.Name != project { // the loader rewrites names that it does not like
		return nil, fmt.Errorf("the project is called %q, not %q", p.Name, project)
	}
	return p, nil
}

// fill adds what comes from the manifest and may hold any bytes. It bypasses
// interpolation, so that a dollar sign is a dollar sign.
func (p *Plan) fill(project *types.Project) {
	agent := project.Services["agent"]
	for k, v := range p.Env {
		agent.Environment[k] = &v
	}
	if p.Workspace != "" {
		agent.Volumes = append(agent.Volumes, types.ServiceVolumeConfig{
			Type: types.VolumeTypeBind, Source: p.Workspace, Target: WorkspaceDir, Bind: &types.ServiceVolumeBind{CreateHostPath: false},
		})
	}
	project.Services["agent"] = agent
	if gate, ok := project.Services["git-gate"]; ok {
		for name, address := range p.Hosts {
			if gate.ExtraHosts == nil {
				gate.ExtraHosts = types.HostsList{}
			}
			gate.ExtraHosts[name] = []string{address}
		}
		project.Services["git-gate"] = gate
	}
	if len(p.secrets()) == 0 {
		return
	}
	project.Secrets = types.Secrets{}
	for service, names := range map[string][]string{"egress": p.Tokens, "git-gate": p.GitSecrets} {
		s, ok := project.Services[service]
		if !ok {
			continue
		}
		for _, name := range slices.Sorted(slices.Values(names)) {
			project.Secrets[name] = types.SecretConfig{File: tokenFile(name)}
			s.Secrets = append(s.Secrets, types.ServiceSecretConfig{Source: name})
		}
		project.Services[service] = s
	}
}

// tokenFile is the reference by which a Compose file finds a token.
func tokenFile(name string) string {
	return "${" + name + "_FILE:?path of a file that holds " + name + ", mode 0400}"
}

// marshal writes the project. Every dollar sign is doubled, once, so that
// Compose reads it as it is; the references to token files alone stay live.
func marshal(project *types.Project, tokens []string) ([]byte, error) {
	raw, err := project.MarshalYAML()
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	live := map[string]bool{}
	for _, name := range tokens {
		live[tokenFile(name)] = true
	}
	escapeDollars(&doc, "", live)
	var buf bytes.Buffer
	buf.WriteString(header)
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return buf.Bytes(), enc.Close()
}

// escapeDollars doubles the dollar signs of all values below n but the live
// ones of the top-level secrets.
func escapeDollars(n *yaml.Node, path string, live map[string]bool) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			escapeDollars(n.Content[i+1], path+"."+n.Content[i].Value, live)
		}
	case yaml.ScalarNode:
		if !strings.HasPrefix(path, ".secrets.") || !live[n.Value] {
			n.Value = strings.ReplaceAll(n.Value, "$", "$$")
		}
	default:
		for _, c := range n.Content {
			escapeDollars(c, path, live)
		}
	}
}

// verify loads the rendered file as Compose will, and holds it against the plan.
func (p *Plan) verify(out []byte) error {
	vars := types.Mapping{}
	for _, name := range p.secrets() {
		vars[name+"_FILE"] = "/tokens/" + name
	}
	project, err := loadStrict(types.ConfigDetails{
		WorkingDir: ".", Environment: vars,
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: out}},
	}, Project(p.Identity))
	if err != nil {
		return err
	}
	agent, here := project.Services["agent"]
	if here == p.Machine {
		return fmt.Errorf("the agent is where it must not be, or is not where it must")
	}
	for k, v := range p.Env {
		if p.Machine {
			break
		}
		if got := agent.Environment[k]; got == nil || *got != v {
			return fmt.Errorf("the variable %s of the agent changed", k)
		}
	}
	for _, name := range p.secrets() {
		if got := project.Secrets[name].File; got != vars[name+"_FILE"] {
			return fmt.Errorf("the token file of %s became %q", name, got)
		}
	}
	return Lint(project, p.terms())
}
