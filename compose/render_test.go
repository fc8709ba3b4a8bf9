package compose

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func plan(t testing.TB, change func(*Plan)) Plan {
	t.Helper()
	nets, err := SplitNets(netip.MustParsePrefix("10.213.7.64/27"))
	if err != nil {
		t.Fatal(err)
	}
	p := Plan{
		Identity: "demo-ab12z", Agent: "demo", Bottle: "dev", Owner: "/home/op/.bottle", Routes: true,
		Images: DefaultImages, Nets: nets, UID: 1000, GID: 1000, Resources: DefaultResources,
	}
	if change != nil {
		change(&p)
	}
	return p
}

func TestRenderGolden(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"routes": func(p *Plan) {
			p.Tokens = []string{"GITHUB_TOKEN", "ANTHROPIC_KEY"}
			p.Env = map[string]string{"TZ": "UTC", "PRICE": "$5 ${HOME} $$", "TEXT": "a \"b\" 'c'\n\tdé: #\n", "EMPTY": "", "YES": "yes"}
		},
		"no-routes": func(p *Plan) { p.Routes = false; p.Resources = Resources{CPUs: 0.5, Memory: 512 << 20, Pids: 64} },
		"runsc":     func(p *Plan) { p.Runtime = "runsc" },
		"git": func(p *Plan) {
			p.Git, p.GitSecrets, p.Tokens = true, []string{"GIT_KEY_APP", "GITHUB_TOKEN"}, []string{"GITHUB_TOKEN"}
			p.Hosts = map[string]string{"git.example": "10.1.2.3"}
		},
		"supervise": func(p *Plan) { p.Supervise = true },
		"machine": func(p *Plan) {
			p.Machine, p.Supervise, p.Git = true, true, true
			p.Env = map[string]string{"TZ": "UTC"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Render(plan(t, change))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden.yaml", got)
		})
	}
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; run go test -update and read the diff. Got:\n%s", file, got)
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	p := plan(t, func(p *Plan) { p.Env = map[string]string{"A": "1", "B": "2", "C": "3"}; p.Tokens = []string{"B", "A"} })
	first, err := Render(p)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if again, _ := Render(p); string(again) != string(first) {
			t.Fatal("two renderings of one plan differ")
		}
	}
}

func TestRenderRefusesPlans(t *testing.T) {
	for want, change := range map[string]func(*Plan){
		"is not a name":       func(p *Plan) { p.Identity = "Demo" },
		"do not run as root":  func(p *Plan) { p.UID = 0 },
		"their keys to":       func(p *Plan) { p.GitSecrets = []string{"T"} },
		"nobody to give":      func(p *Plan) { p.Routes = false; p.Tokens = []string{"T"} },
		"token file":          func(p *Plan) { p.Tokens = []string{"../x"} },
		"environment":         func(p *Plan) { p.Env = map[string]string{"A-B": ""} },
		"runtime":             func(p *Plan) { p.Runtime = "kata" },
		"limits":              func(p *Plan) { p.Resources.Pids = 0 },
		"no subnets":          func(p *Plan) { p.Nets = Nets{} },
		"than a host name":    func(p *Plan) { p.Identity = strings.Repeat("a", 64) },
		"\"dev\\n\" is not a": func(p *Plan) { p.Bottle = "dev\n" },
	} {
		_, err := Render(plan(t, change))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// The lint must catch each weakening by itself; otherwise it is decoration.
func TestLintCatches(t *testing.T) {
	service := func(name string, f func(*types.ServiceConfig)) func(*types.Project) {
		return func(p *types.Project) { s := p.Services[name]; f(&s); p.Services[name] = s }
	}
	network := func(name string, f func(*types.NetworkConfig)) func(*types.Project) {
		return func(p *types.Project) { n := p.Networks[name]; f(&n); p.Networks[name] = n }
	}
	bind := func(src string, ro bool) func(*types.ServiceConfig) {
		return func(s *types.ServiceConfig) {
			s.Volumes = append(s.Volumes, types.ServiceVolumeConfig{Type: "bind", Source: src, Target: "/x", ReadOnly: ro})
		}
	}
	volume := func(f func(*types.VolumeConfig)) func(*types.Project) {
		return func(p *types.Project) { v := p.Volumes["hop"]; f(&v); p.Volumes["hop"] = v }
	}
	hop := func(ro bool) types.ServiceVolumeConfig {
		return types.ServiceVolumeConfig{Type: "volume", Source: "hop", Target: "/x", ReadOnly: ro}
	}
	isHop := func(v types.ServiceVolumeConfig) bool { return v.Source == "hop" }
	for name, c := range map[string]struct {
		change func(*types.Project)
		want   string
	}{
		"open network":     {network("inside", func(n *types.NetworkConfig) { n.Internal = false }), "network inside is not internal"},
		"host address":     {network("inside", func(n *types.NetworkConfig) { n.DriverOpts = nil }), "network inside leaves the host an address"},
		"ipv6 network":     {network("outside", func(n *types.NetworkConfig) { n.EnableIPv6 = nil }), "has IPv6 on"},
		"external":         {network("inside", func(n *types.NetworkConfig) { n.External = true }), "own"},
		"agent outside":    {service("agent", func(s *types.ServiceConfig) { s.Networks["outside"] = nil }), "no business on the network outside"},
		"pipelock inside":  {service("pipelock", func(s *types.ServiceConfig) { s.Networks["inside"] = nil }), "beside egress"},
		"caps":             {service("agent", func(s *types.ServiceConfig) { s.CapAdd = []string{"NET_RAW"} }), "capabilities"},
		"caps kept":        {service("egress", func(s *types.ServiceConfig) { s.CapDrop = nil }), "capabilities"},
		"privileges":       {service("agent", func(s *types.ServiceConfig) { s.SecurityOpt = nil }), "no-new-privileges"},
		"seccomp":          {service("agent", func(s *types.ServiceConfig) { s.SecurityOpt = append(s.SecurityOpt, "seccomp:unconfined") }), "security options"},
		"seccomp default":  {service("agent", func(s *types.ServiceConfig) { s.SecurityOpt = s.SecurityOpt[:1] }), "seccomp profile"},
		"seccomp other":    {service("egress", func(s *types.ServiceConfig) { s.SecurityOpt[1] = "seccomp=./config/other.json" }), "seccomp profile"},
		"writable":         {service("egress", func(s *types.ServiceConfig) { s.ReadOnly = false }), "writable root"},
		"root":             {service("pipelock", func(s *types.ServiceConfig) { s.User = "0:0" }), "runs as root"},
		"host pid":         {service("agent", func(s *types.ServiceConfig) { s.Pid = "host" }), `sets pid to "host"`},
		"host network":     {service("agent", func(s *types.ServiceConfig) { s.NetworkMode = "host" }), "network_mode"},
		"docker socket":    {service("agent", bind("/var/run/docker.sock", true)), "only ./config, ./clients, ./skills, ./ca, ./audit, ./queue and"},
		"api socket":       {service("agent", func(s *types.ServiceConfig) { s.UseAPISocket = true }), "privileged"},
		"dot dot":          {service("egress", bind("./config/../../x", true)), "only ./config"},
		"writable config":  {service("egress", bind("./config", false)), "writable"},
		"root keys":        {service("egress", bind("./ca/roots", true)), "not its own"},
		"mirrors":          {service("egress", bind("./mirrors", false)), "git-gate alone"},
		"whole ca":         {service("pipelock", bind("./ca", true)), "not its own"},
		"agent sees ca":    {service("agent", bind("./ca/egress", true)), "the agent sees"},
		"agent tokens":     {service("agent", func(s *types.ServiceConfig) { s.Secrets = []types.ServiceSecretConfig{{Source: "T"}} }), "egress and git-gate alone"},
		"port":             {service("egress", func(s *types.ServiceConfig) { s.Ports = []types.ServicePortConfig{{Target: 1}} }), "publishes"},
		"no limit":         {service("agent", func(s *types.ServiceConfig) { s.PidsLimit = 0 }), "limit"},
		"no order":         {service("agent", func(s *types.ServiceConfig) { s.DependsOn = nil }), "can start without egress"},
		"optional guard":   {service("egress", func(s *types.ServiceConfig) { s.DependsOn = types.DependsOnConfig{"pipelock": {}} }), "can start without pipelock"},
		"ipv6 service":     {service("agent", func(s *types.ServiceConfig) { s.Sysctls = nil }), "IPv6"},
		"pull":             {service("agent", func(s *types.ServiceConfig) { s.PullPolicy = "always" }), "pull"},
		"other resolver":   {service("agent", func(s *types.ServiceConfig) { s.DNS = nil }), "resolvers"},
		"unlabelled":       {service("agent", func(s *types.ServiceConfig) { s.Labels = nil }), "label bottle.identity"},
		"unlabelled net":   {network("outside", func(n *types.NetworkConfig) { n.Labels = nil }), "cleanup"},
		"a third network":  {func(p *types.Project) { p.Networks["x"] = types.NetworkConfig{} }, "neither inside"},
		"no log rotation":  {service("agent", func(s *types.ServiceConfig) { s.Logging = nil }), "rotate"},
		"devices":          {service("agent", func(s *types.ServiceConfig) { s.Devices = []types.DeviceMapping{{Source: "/dev/kvm"}} }), "devices"},
		"volume":           {func(p *types.Project) { p.Volumes["v"] = types.VolumeConfig{} }, "volume v is none"},
		"hop on the disk":  {func(p *types.Project) { p.Volumes["hop"] = types.VolumeConfig{Driver: "local"} }, "not in memory"},
		"hop unlabelled":   {volume(func(v *types.VolumeConfig) { v.Labels = nil }), "volume hop has no label"},
		"hop of others":    {volume(func(v *types.VolumeConfig) { v.External = true }), "not in memory"},
		"agent at the hop": {service("agent", func(s *types.ServiceConfig) { s.Volumes = append(s.Volumes, hop(true)) }), "agent does not see"},
		"gate at the hop":  {service("egress", func(s *types.ServiceConfig) { s.Volumes = append(s.Volumes, hop(false)) }), "egress does not see"},
		"another hop":      {volume(func(v *types.VolumeConfig) { v.Name = "bottle-other_hop" }), "not in memory"},
		"hop for all":      {volume(func(v *types.VolumeConfig) { v.DriverOpts["o"] = "mode=0777" }), "not in memory"},
		"hop elsewhere":    {service("egress", func(s *types.ServiceConfig) { s.Volumes[slices.IndexFunc(s.Volumes, isHop)].Target = "/etc/bottle" }), "egress does not see"},
		"a part of it":     {service("pipelock", func(s *types.ServiceConfig) { s.Volumes[slices.IndexFunc(s.Volumes, isHop)].Volume.Subpath = "x" }), "pipelock does not see"},
		"volume missing":   {func(p *types.Project) { p.Volumes = nil }, "no volume hop"},
		"no hop":           {service("egress", func(s *types.ServiceConfig) { s.Volumes = slices.DeleteFunc(s.Volumes, isHop) }), "egress does not see"},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(t, nil)
			project, err := load(p.files(), p.variables(), Project(p.Identity))
			if err != nil {
				t.Fatal(err)
			}
			if err := Lint(project, Terms{}); err != nil {
				t.Fatalf("the fragments themselves: %v", err)
			}
			c.change(project)
			if err := Lint(project, Terms{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want a violation with %q, got %v", c.want, err)
			}
		})
	}
}

// Each service's fragment loads alone, with its documented defaults.
func TestFragmentsStandAlone(t *testing.T) {
	for _, f := range []string{"egressd.yaml", "pipelockd.yaml", "agent.yaml"} {
		p, err := load([]string{f}, types.Mapping{}, "bottle-alone-00000")
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if len(p.Services) != 1 {
			t.Errorf("%s holds %d services", f, len(p.Services))
		}
	}
}

func TestSplitNets(t *testing.T) {
	n, err := SplitNets(netip.MustParsePrefix("10.213.255.192/27"))
	if err != nil {
		t.Fatal(err)
	}
	if n.Inside.String() != "10.213.255.192/28" || n.Outside.String() != "10.213.255.208/28" || n.ProxyAddress().String() != "10.213.255.194" {
		t.Errorf("got %+v, proxy %s", n, n.ProxyAddress())
	}
	for _, bad := range []string{"10.0.0.0/26", "fd00::/27"} {
		if _, err := SplitNets(netip.MustParsePrefix(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestQueueIsLinted(t *testing.T) {
	for name, change := range map[string]func(p *types.Project){
		"mounts ./queue/decisions of the queue in another way": func(p *types.Project) { p.Services["supervise"].Volumes[2].ReadOnly = false },
		"mounts ./queue of the queue in another way":           func(p *types.Project) { p.Services["supervise"].Volumes[1].Source = "./queue" },
		"which is for supervise alone": func(p *types.Project) {
			a := p.Services["agent"]
			a.Volumes = append(a.Volumes, p.Services["supervise"].Volumes[1])
			p.Services["agent"] = a
		},
		"has no business on the network outside": func(p *types.Project) {
			p.Services["supervise"].Networks["outside"] = nil
		},
	} {
		pl := plan(t, func(p *Plan) { p.Supervise = true })
		project, err := load(pl.files(), pl.variables(), Project(pl.Identity))
		if err != nil {
			t.Fatal(err)
		}
		change(project)
		if err := Lint(project, Terms{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A directory of the host is mounted where the plan names it, and nowhere else.
func TestWorkspaceIsTheOnlyMountFromOutside(t *testing.T) {
	out, err := Render(plan(t, func(p *Plan) { p.Workspace = "/home/op/a $project" }))
	if err != nil || !strings.Contains(string(out), "source: /home/op/a $$project") {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, v := range map[string]types.ServiceVolumeConfig{
		"another place": {Type: "bind", Source: "/home/op/project", Target: "/etc"},
		"another dir":   {Type: "bind", Source: "/home/op", Target: WorkspaceDir},
		"a volume":      {Type: "volume", Source: "/home/op/project", Target: WorkspaceDir},
	} {
		p := plan(t, nil)
		project, err := load(p.files(), p.variables(), Project(p.Identity))
		if err != nil {
			t.Fatal(err)
		}
		a := project.Services["agent"]
		a.Volumes = append(a.Volumes, v)
		project.Services["agent"] = a
		if err := Lint(project, Terms{Workspace: "/home/op/project"}); err == nil || !strings.Contains(err.Error(), "mounts") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"/", "relative", "/a/../b", "/a/"} {
		if _, err := Render(plan(t, func(p *Plan) { p.Workspace = bad })); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// What was looked at before a start is what runs: a name could lead elsewhere by then.
func TestPinnedImages(t *testing.T) {
	id := "sha256:" + strings.Repeat("0a", 32)
	pin := func(p *Plan) {
		p.Pinned, p.Images = true, Images{Egressd: id, Pipelockd: "registry.example/bottle/pipelockd@" + id, Agent: id}
	}
	out, err := Render(plan(t, pin))
	if err != nil || strings.Count(string(out), id) != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, bad := range []string{"bottle/agent-shell:dev", "sha256:0a", id[len("sha256:"):], "x:" + id} {
		if _, err := Render(plan(t, func(p *Plan) { pin(p); p.Images.Agent = bad })); err == nil || !strings.Contains(err.Error(), "another image") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
