package manifest

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// bottleKeys is the front matter of a bottle.
type bottleKeys struct {
	Env    map[string]string `yaml:"env"`
	Egress struct {
		Presets []string     `yaml:"presets"`
		Routes  []wire.Route `yaml:"routes"`
	} `yaml:"egress"`
	Pipelock struct {
		Allow        []string          `yaml:"allow"`
		AllowPrivate []string          `yaml:"allow_private"`
		Hosts        map[string]string `yaml:"hosts"`
		ExtraCA      string            `yaml:"extra_ca"`
		SeedPhrases  *bool             `yaml:"seed_phrase_detection"`
		Known        []string          `yaml:"known"`
		Canaries     []string          `yaml:"canaries"`
		Actions      []wire.ScanAction `yaml:"actions"`
		Limits       wire.SendLimits   `yaml:"limits"`
	} `yaml:"pipelock"`
	Resources struct {
		CPUs   float64   `yaml:"cpus"`
		Memory wire.Size `yaml:"memory"`
		Pids   int64     `yaml:"pids"`
	} `yaml:"resources"`
	Git           []wire.GitRemote `yaml:"git"`
	Supervise     bool             `yaml:"supervise"`
	AgentProvider struct {
		Template   string `yaml:"template"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"agent_provider"`
}

// ParseBottle reads a bottle's manifest. UserHome is where ~ leads.
func ParseBottle(name, file string, data []byte, userHome string) (*Bottle, error) {
	front, _, err := split(file, data)
	if err != nil {
		return nil, err
	}
	if err := refuseKeys(file, front, 2); err != nil {
		return nil, err
	}
	doc, err := wire.Parse(file, front, 2)
	if err != nil {
		return nil, err
	}
	var k bottleKeys
	if err := doc.Decode(&k); err != nil {
		return nil, err
	}
	b := &Bottle{Name: name, File: file, doc: doc, userHome: userHome, Presets: k.Egress.Presets, Routes: k.Egress.Routes, Supervise: k.Supervise}
	b.Pipelock = Pipelock{Allow: k.Pipelock.Allow, AllowPrivate: k.Pipelock.AllowPrivate, Hosts: k.Pipelock.Hosts,
		ExtraCA:     expand(k.Pipelock.ExtraCA, filepath.Dir(file), userHome),
		SeedPhrases: k.Pipelock.SeedPhrases, Known: k.Pipelock.Known, Canaries: k.Pipelock.Canaries,
		Actions: k.Pipelock.Actions, Limits: k.Pipelock.Limits}
	b.Resources = Resources{CPUs: k.Resources.CPUs, Memory: k.Resources.Memory, Pids: k.Resources.Pids}
	for _, check := range []func(*bottleKeys) error{b.checkProvider, b.checkPresets, b.checkRoutes, b.checkPipelock, b.checkGit, b.checkResources, b.readEnv, b.checkSecrets} {
		if err := check(&k); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *Bottle) checkProvider(k *bottleKeys) error {
	if t := k.AgentProvider.Template; t != "" && t != "shell" {
		return b.doc.Errorf("agent_provider.template", "the agent provider %q is not served by this build yet; use shell", t)
	}
	if k.AgentProvider.Dockerfile != "" {
		return b.doc.Errorf("agent_provider.dockerfile", "agent_provider.dockerfile is not served by this build yet; remove it")
	}
	return nil
}

func (b *Bottle) checkRoutes(*bottleKeys) error {
	for i := range b.Routes {
		r := &b.Routes[i]
		at := fmt.Sprintf("egress.routes[%d]", i)
		if r.Host == "" {
			return b.doc.Errorf(at, "the route has no host")
		}
		if field, err := route.Validate(*r); err != nil {
			return b.doc.Errorf(at+"."+field, "%v", err)
		}
		if r.Auth != nil && slices.Contains(boundVars, strings.ToLower(r.Auth.TokenRef)) {
			return b.doc.Errorf(at+".auth.token_ref", "%s is set by the bottle itself, to its own proxy and certificate; give the token another name", r.Auth.TokenRef)
		}
		r.Host = canonicalHost(r.Host)
	}
	if _, err := route.Compile(b.Routes); err != nil {
		return b.doc.Errorf("egress.routes", "%v", err)
	}
	return nil
}

// canonicalHost writes a valid pattern in lower case and without the port that
// holds anyway.
func canonicalHost(pattern string) string {
	return strings.TrimSuffix(strings.ToLower(pattern), ":"+route.DefaultPort)
}

func (b *Bottle) checkPipelock(*bottleKeys) error {
	p := &b.Pipelock
	for i, h := range p.Allow {
		if _, _, _, err := route.SplitPattern(strings.ToLower(h)); err != nil {
			return b.doc.Errorf(fmt.Sprintf("pipelock.allow[%d]", i), "%v", err)
		}
		p.Allow[i] = canonicalHost(h)
	}
	for i, h := range p.AllowPrivate {
		if err := checkPrivate(h); err != nil {
			return b.doc.Errorf(fmt.Sprintf("pipelock.allow_private[%d]", i), "%v", err)
		}
		p.AllowPrivate[i] = strings.ToLower(h)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Hosts)) {
		at := "pipelock.hosts." + name
		lower, err := route.Host(name)
		if err != nil {
			return b.doc.Errorf(at, "%q: %v", name, err)
		}
		if lower != name {
			return b.doc.Errorf(at, "write the host %q in lower case", name)
		}
		if a, err := netip.ParseAddr(p.Hosts[name]); err != nil || a.Zone() != "" {
			return b.doc.Errorf(at, "%q is not an IP address", p.Hosts[name])
		}
	}
	if p.ExtraCA != "" {
		if _, err := os.Stat(p.ExtraCA); err != nil {
			return b.doc.Errorf("pipelock.extra_ca", "cannot read the file of further roots: %v", err)
		}
	}
	return nil
}

// checkPrivate takes what pipelockd does: a network, an address, a name or
// "*.suffix".
func checkPrivate(s string) error {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return fmt.Errorf("%q is not a network such as 10.1.0.0/16", s)
		}
		if p != p.Masked() {
			return fmt.Errorf("%q has bits beyond its prefix; write %s", s, p.Masked())
		}
		return nil
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if _, err := route.Host(strings.TrimPrefix(s, "*.")); err != nil {
		return fmt.Errorf("%q is neither a host name, nor *.suffix, nor a network: %v", s, err)
	}
	return nil
}

// minMemory is what a shell and one tool need.
const minMemory = 64 << 20

func (b *Bottle) checkResources(*bottleKeys) error {
	r := b.Resources
	switch {
	case r.CPUs < 0 || r.CPUs > 1024:
		return b.doc.Errorf("resources.cpus", "cpus must be a number above 0, such as 2 or 0.5")
	case r.Memory != 0 && (r.Memory < minMemory || r.Memory > 1<<44):
		return b.doc.Errorf("resources.memory", "memory must be at least 64MiB")
	case r.Pids < 0 || r.Pids != 0 && r.Pids < 16 || r.Pids > 1<<22:
		return b.doc.Errorf("resources.pids", "pids must be at least 16")
	}
	return nil
}

var (
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	fromHost  = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
	boundVars = []string{ // in lower case: the way out and whom to trust
		"http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "no_proxy",
		"npm_config_proxy", "npm_config_https_proxy", "npm_config_noproxy",
		"ssl_cert_file", "ssl_cert_dir", "node_extra_ca_certs", "requests_ca_bundle", "curl_ca_bundle",
		"git_ssl_cainfo", "git_ssl_capath", "codex_ca_certificate", "deno_cert",
		"node_tls_reject_unauthorized", "git_ssl_no_verify", "bottle_mcp_url",
	}
)

func (b *Bottle) readEnv(k *bottleKeys) error {
	refs := slices.Concat(b.TokenRefs(), b.GitSecretNames())
	for _, name := range slices.Sorted(maps.Keys(k.Env)) {
		at, value := "env."+name, k.Env[name]
		v := EnvVar{Name: name, Value: value}
		if m := fromHost.FindStringSubmatch(value); m != nil {
			v = EnvVar{Name: name, From: m[1]}
		}
		switch {
		case !envName.MatchString(name):
			return b.doc.Errorf(at, "%q cannot name an environment variable", name)
		case slices.Contains(boundVars, strings.ToLower(name)):
			return b.doc.Errorf(at, "%s is set by the bottle itself, to its own proxy and certificate; remove it", name)
		case strings.HasPrefix(value, "?"):
			return b.doc.Errorf(at, "a value asked at launch (%q) is not served by this build yet; write it out or take it from the host as ${%s}", value, name)
		case strings.ContainsRune(value, 0):
			return b.doc.Errorf(at, "the value of %s holds a NUL byte, which no environment can", name)
		case slices.Contains(refs, v.From):
			return b.doc.Errorf(at, "%s would hand the agent the token %s, which a sidecar holds for it; remove it", name, v.From)
		}
		b.Env = append(b.Env, v)
	}
	return nil
}

// expand resolves ~ and a path relative to the manifest.
func expand(path, dir, userHome string) string {
	if path == "" {
		return ""
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok && userHome != "" {
		return filepath.Join(userHome, rest)
	}
	if !filepath.IsAbs(path) {
		return filepath.Join(dir, path)
	}
	return path
}
