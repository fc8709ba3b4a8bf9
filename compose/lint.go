package compose

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// inhibit is the bridge option that leaves the host without an address on the
// network.
const inhibit = "com.docker.network.bridge.inhibit_ipv4"

// members is the topology: which services may be on which network.
var members = map[string][]string{
	"inside":  {"agent", "gateway", "egress", "pipelock", "git-gate", "supervise"}, // pipelock only in a bottle without egress
	"outside": {"pipelock", "git-gate"},
}

// mountRoots are the places of the bundle that a service may see, and how.
var mountRoots = map[string]struct{ readOnly bool }{
	"config": {true}, "clients": {true}, "skills": {true}, "ca": {true}, "audit": {false}, "queue": {false}, "mirrors": {false}, "net": {false},
}

// queueMounts are the parts of the queue, for superviserd alone, and whether it
// may write there: what the operator decides it reads only.
var queueMounts = map[string]struct{ readOnly bool }{
	"queue/proposals": {false}, "queue/decisions": {true},
}

// WorkspaceDir is where the agent works.
const WorkspaceDir = "/home/agent/workspace"

// Terms are what a project is held to beside what always holds.
type Terms struct {
	// Workspace is the directory of the host that the operator mounts into the
	// agent's, "" for none.
	Workspace string
	// Pinned wants every image named by its id or digest.
	Pinned bool
}

// Lint holds a project against the invariants of a bottle. It returns every
// violation, each with the service or network that it is about.
func Lint(p *types.Project, t Terms) error {
	var errs []error
	report := func(where, format string, args ...any) {
		errs = append(errs, fmt.Errorf("compose: %s %s", where, fmt.Sprintf(format, args...)))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Networks)) {
		n := p.Networks[name]
		lintNetwork(name, n, func(f string, a ...any) { report("network "+name, f, a...) })
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		say := func(f string, a ...any) { report("service "+name, f, a...) }
		lintPrivileges(s, say)
		lintLimits(s, say)
		lintMounts(s, t.Workspace, say)
		if t.Pinned && !pinned.MatchString(s.Image) {
			say("runs %q, which may become another image; only an id or a digest may not", s.Image)
		}
		lintMembership(p, s, say)
		lintGateway(s, say)
	}
	lintOrder(p, report)
	lintHop(p, report)
	if len(p.Configs) > 0 {
		report("the project", "has configs")
	}
	return errors.Join(errs...)
}

// pinned is a reference that leads to one image for good.
var pinned = regexp.MustCompile(`^([^@]+@)?sha256:[0-9a-f]{64}$`)

func lintNetwork(name string, n types.NetworkConfig, say func(string, ...any)) {
	if _, ok := members[name]; !ok {
		say("is neither inside nor outside")
		return
	}
	if n.External || n.Driver != "bridge" {
		say("is not a bridge of the bottle's own")
	}
	if n.EnableIPv6 == nil || *n.EnableIPv6 {
		say("has IPv6 on")
	}
	if n.Ipam.Config == nil || len(n.Ipam.Config) != 1 || n.Ipam.Config[0].Subnet == "" {
		say("has no fixed subnet")
	}
	if n.Labels["bottle.identity"] == "" {
		say("has no label bottle.identity, so cleanup would miss it")
	}
	if name == "outside" {
		return
	}
	if !n.Internal {
		say("is not internal")
	}
	if n.DriverOpts[inhibit] != "true" {
		say("leaves the host an address on the bridge (%s)", inhibit)
	}
}

func lintPrivileges(s types.ServiceConfig, say func(string, ...any)) {
	if !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 {
		say("does not drop all capabilities")
	}
	if !slices.Equal(s.SecurityOpt, securityOptions) {
		say("has security options other than no-new-privileges and the bottle's seccomp profile")
	}
	if s.Privileged || s.UseAPISocket || len(s.Devices)+len(s.DeviceCgroupRules)+len(s.Gpus)+len(s.GroupAdd) > 0 {
		say("is privileged, or has devices or extra groups")
	}
	for what, v := range map[string]string{
		"ipc": s.Ipc, "pid": s.Pid, "uts": s.Uts, "userns_mode": s.UserNSMode, "cgroup": s.Cgroup,
		"network_mode": s.NetworkMode, "cgroup_parent": s.CgroupParent,
	} {
		if v != "" {
			say("sets %s to %q", what, v)
		}
	}
	user, _, _ := strings.Cut(s.User, ":")
	if user == "" || user == "0" || user == "root" {
		say("runs as root")
	}
	if s.Name != "agent" && !s.ReadOnly {
		say("has a writable root file system")
	}
	if s.Sysctls["net.ipv6.conf.all.disable_ipv6"] != "1" || s.Sysctls["net.ipv6.conf.default.disable_ipv6"] != "1" {
		say("has IPv6 on")
	}
	if s.PullPolicy != types.PullPolicyNever || s.Build != nil {
		say("may pull or build its image")
	}
	if len(s.Ports) > 0 {
		say("publishes a port on the host")
	}
}

func lintLimits(s types.ServiceConfig, say func(string, ...any)) {
	if s.PidsLimit <= 0 || s.MemLimit <= 0 || s.CPUS <= 0 {
		say("lacks a limit of processes, memory or CPUs")
	}
	if s.Init == nil || !*s.Init {
		say("has no init")
	}
	if s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) == 0 {
		say("has no health check")
	}
	if s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
		say("does not rotate its log")
	}
	for _, l := range []string{"bottle.identity", "bottle.agent", "bottle.name", "bottle.component"} {
		if s.Labels[l] == "" {
			say("has no label %s", l)
		}
	}
}

func lintMounts(s types.ServiceConfig, workspace string, say func(string, ...any)) {
	if len(s.VolumesFrom)+len(s.Configs)+len(s.EnvFiles) > 0 {
		say("mounts volumes of others, configs or environment files")
	}
	for _, v := range s.Volumes {
		src := path.Clean(v.Source)
		top, _, _ := strings.Cut(src, "/")
		root, ok := mountRoots[top]
		switch {
		case v.Type == types.VolumeTypeVolume && v.Source == HopVolume: // lintHop's
		case s.Name == "agent" && workspace != "" && v.Type == types.VolumeTypeBind && v.Source == workspace && v.Target == WorkspaceDir:
		case v.Type != types.VolumeTypeBind || path.IsAbs(v.Source) || !ok:
			say("mounts %s %s; only ./config, ./clients, ./skills, ./ca, ./audit, ./queue and ./mirrors of the bundle are mounted", v.Type, v.Source)
		case root.readOnly && !v.ReadOnly:
			say("mounts %s writable", v.Source)
		case src == "ca" || src == "audit" || src == "ca/roots" || strings.HasPrefix(src, "ca/roots/"):
			say("mounts %s, which holds what is not its own", v.Source)
		case top == "mirrors" && s.Name != "git-gate":
			say("mounts %s, which is for git-gate alone", v.Source)
		case top == "net" && s.Name != "gateway":
			say("mounts %s, which is for gateway alone", v.Source)
		case top == "queue" && s.Name != "supervise":
			say("mounts %s, which is for supervise alone", v.Source)
		case top == "queue" && !queueMount(src, v.ReadOnly):
			say("mounts %s of the queue in another way than proposals to write and decisions to read", v.Source)
		case s.Name == "agent" && !slices.Contains(agentMounts, src):
			say("mounts %s; the agent sees its certificate, its prompt, its skills and the settings of its clients", v.Source)
		}
	}
	if s.Name != "egress" && s.Name != "git-gate" && len(s.Secrets) > 0 {
		say("is given tokens; egress and git-gate alone hold them")
	}
}

func queueMount(src string, readOnly bool) bool {
	part, ok := queueMounts[src]
	return ok && (readOnly || !part.readOnly)
}

// agentMounts is all that the agent sees of the bundle.
var agentMounts = []string{"ca/agent", "config/prompt.md", "config/resolv.conf", "config/gitconfig", "clients", "skills"}

func lintMembership(p *types.Project, s types.ServiceConfig, say func(string, ...any)) {
	if len(s.Networks) == 0 {
		say("is on no network of the bottle, so the engine would choose one")
	}
	for n := range s.Networks {
		if !slices.Contains(members[n], s.Name) {
			say("has no business on the network %s", n)
		}
	}
	_, hasEgress := p.Services["egress"]
	if _, inside := s.Networks["inside"]; s.Name == "pipelock" && inside && hasEgress {
		say("is on the network inside beside egress")
	}
	if s.Name == "agent" && len(s.DNS) != 1 {
		say("has resolvers other than its proxy")
	}
}

// lintOrder checks that nothing starts without what guards it.
func lintOrder(p *types.Project, report func(where, format string, args ...any)) {
	guest := guestOf(p)
	needs := map[string]string{guest: "pipelock"}
	if _, ok := p.Services["egress"]; ok {
		needs = map[string]string{guest: "egress", "egress": "pipelock"}
	}
	if _, ok := p.Services["git-gate"]; ok {
		if dep, ok := p.Services[guest].DependsOn["git-gate"]; !ok || !dep.Required {
			report("service "+guest, "can start without git-gate")
		}
	}
	for _, s := range slices.Sorted(maps.Keys(needs)) {
		dep, ok := p.Services[s].DependsOn[needs[s]]
		if !ok || !dep.Required {
			report("service "+s, "can start without %s", needs[s])
		}
	}
	for _, s := range []string{guest, "pipelock"} {
		if _, ok := p.Services[s]; !ok {
			report("the project", "has no service %s", s)
		}
	}
}
