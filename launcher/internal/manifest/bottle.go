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
	"unicode"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// bottleKeys is the front matter of a bottle.
type bottleKeys struct {
	// Extends names bottles whose keys hold where this one is silent; a later
	// one goes before an earlier one.
	Extends []string `yaml:"extends"`
	// Env is the agent's environment: a literal, "${NAME}" for a variable of the
	// operator's, or "?Question" for a value that is asked for at each launch.
	Env map[string]string `yaml:"env"`
	// Egress is what egressd allows.
	Egress struct {
		// Presets are read-only rules for the hosts of the operator's own
		// package clients.
		Presets []string `yaml:"presets"`
		// Routes allow requests, each to one host. What no route takes is
		// denied.
		Routes []wire.Route `yaml:"routes"`
	} `yaml:"egress"`
	// Pipelock is what pipelockd dials and looks for.
	Pipelock struct {
		// Allow are further hosts; in a bottle without routes, the only ones.
		Allow []string `yaml:"allow"`
		// AllowPrivate are names, *.suffixes and networks that may have
		// addresses that are not public.
		AllowPrivate []string `yaml:"allow_private"`
		// Hosts pins names to addresses, before DNS.
		Hosts map[string]string `yaml:"hosts"`
		// ExtraCA is a PEM file of roots beside the public ones.
		ExtraCA string `yaml:"extra_ca"`
		// SeedPhrases says whether seed phrases are looked for; absent, they
		// are, but for the hosts of model APIs.
		SeedPhrases *bool `yaml:"seed_phrase_detection"`
		// Known are variables of the operator's whose values must not leave.
		Known []string `yaml:"known"`
		// Canaries are variables that are planted in the agent's environment;
		// nobody may send their values.
		Canaries []string `yaml:"canaries"`
		// Actions say what becomes of a secret that was found; the first that
		// fits rule and host decides.
		Actions []wire.ScanAction `yaml:"actions"`
		// Limits bound what leaves.
		Limits wire.SendLimits `yaml:"limits"`
	} `yaml:"pipelock"`
	// Resources limit the agent.
	Resources struct {
		// CPUs is how many, such as 2 or 0.5.
		CPUs float64 `yaml:"cpus"`
		// Memory is a size such as 4GiB.
		Memory wire.Size `yaml:"memory"`
		// Pids is how many processes and threads.
		Pids int64 `yaml:"pids"`
	} `yaml:"resources"`
	Git           []wire.GitRemote `yaml:"git"`
	Supervise     bool             `yaml:"supervise"`
	AgentProvider struct {
		Template   string `yaml:"template"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"agent_provider"`
}

// ParseBottle reads a bottle's manifest, and beside it those that it extends.
// UserHome is where ~ leads.
func ParseBottle(name, file string, data []byte, userHome string) (*Bottle, error) {
	return parseBottle(name, file, data, userHome, nil)
}

// parseBottle reads a bottle that the bottles of chain lead to.
func parseBottle(name, file string, data []byte, userHome string, chain []string) (*Bottle, error) {
	var k bottleKeys
	doc, _, err := readFront("bottle", file, data, &k)
	if err != nil {
		return nil, err
	}
	b := &Bottle{Name: name, File: file, doc: doc, userHome: userHome, origins: map[string]origin{}}
	if err := b.inherit(&k, chain); err != nil {
		return nil, err
	}
	b.keys = k
	b.Presets, b.Routes, b.Supervise = k.Egress.Presets, slices.Clone(k.Egress.Routes), k.Supervise
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

func (b *Bottle) checkRoutes(*bottleKeys) error {
	for i := range b.Routes {
		r := &b.Routes[i]
		at := fmt.Sprintf("egress.routes[%d]", i)
		if r.Host == "" {
			return b.errorf(at, "the route has no host; write the name that it is for, as in host: api.example.com")
		}
		if field, err := route.Validate(*r); err != nil {
			return b.errorf(at+"."+field, "%v", err)
		}
		if r.Auth != nil && slices.Contains(boundVars, strings.ToLower(r.Auth.TokenRef)) {
			return b.errorf(at+".auth.token_ref", "%s is set by the bottle itself, to its own proxy and certificate; give the token another name", r.Auth.TokenRef)
		}
		r.Host = canonicalHost(r.Host)
	}
	if _, err := route.Compile(b.Routes); err != nil {
		return b.errorf("egress.routes", "%v", err)
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
			return b.errorf(fmt.Sprintf("pipelock.allow[%d]", i), "%v", err)
		}
		p.Allow[i] = canonicalHost(h)
	}
	for i, h := range p.AllowPrivate {
		if err := checkPrivate(h); err != nil {
			return b.errorf(fmt.Sprintf("pipelock.allow_private[%d]", i), "%v", err)
		}
		p.AllowPrivate[i] = strings.ToLower(h)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Hosts)) {
		at := "pipelock.hosts." + name
		lower, err := route.Host(name)
		if err != nil {
			return b.errorf(at, "%q: %v", name, err)
		}
		if lower != name {
			return b.errorf(at, "write the host %q in lower case", name)
		}
		if a, err := netip.ParseAddr(p.Hosts[name]); err != nil || a.Zone() != "" {
			return b.errorf(at, "%q is not an IP address; write one such as 10.1.2.3", p.Hosts[name])
		}
	}
	if p.ExtraCA != "" {
		if _, err := os.Stat(p.ExtraCA); err != nil {
			return b.errorf("pipelock.extra_ca", "cannot read the file of further roots: %v", err)
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
		return b.errorf("resources.cpus", "cpus must be a number above 0, such as 2 or 0.5")
	case r.Memory != 0 && (r.Memory < minMemory || r.Memory > 1<<44):
		return b.errorf("resources.memory", "memory must be at least 64MiB")
	case r.Pids < 0 || r.Pids != 0 && r.Pids < 16 || r.Pids > 1<<22:
		return b.errorf("resources.pids", "pids must be at least 16")
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
		question, asked := strings.CutPrefix(value, "?")
		if m := fromHost.FindStringSubmatch(value); m != nil {
			v = EnvVar{Name: name, From: m[1]}
		} else if asked {
			v = EnvVar{Name: name, Ask: strings.TrimSpace(question)}
		}
		switch {
		case !envName.MatchString(name):
			return b.errorf(at, "%q cannot name an environment variable; use letters, digits and underscores, a letter first", name)
		case slices.Contains(boundVars, strings.ToLower(name)):
			return b.errorf(at, "%s is set by the bottle itself, to its own proxy and certificate; remove it", name)
		case asked && (v.Ask == "" || strings.ContainsFunc(v.Ask, unicode.IsControl)):
			return b.errorf(at, `the question behind "?" is empty or more than one line; write what you will be asked, as in %s: "?Database password"`, name)
		case asked && slices.Contains(refs, name):
			return b.errorf(at, "%s is the name of a token, which a sidecar holds for the agent; give what is asked another name", name)
		case strings.ContainsRune(value, 0):
			return b.errorf(at, "the value of %s holds a NUL byte, which no environment can; take it out", name)
		case slices.Contains(refs, v.From):
			return b.errorf(at, "%s would hand the agent the token %s, which a sidecar holds for it; remove it", name, v.From)
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
