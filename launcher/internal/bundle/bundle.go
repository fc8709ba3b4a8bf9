// Package bundle turns a manifest, an identity and its certificates into the
// files of one bottle: compose.yaml, the sidecars' configurations, the
// certificates, and the directories for their audit logs. What it writes is
// what `docker compose up` runs, whether the launcher does it or the operator
// on a rendered directory.
package bundle

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
	"github.com/bottlesuite/bottle/launcher/internal/provider"
)

// Spec is all that the files of a bottle depend on.
type Spec struct {
	Identity bottle.Identity
	// Name is what the operator calls the launch, "" for nothing.
	Name   string
	Agent  *manifest.Agent
	Bottle *manifest.Bottle
	// Env is the agent's environment with its values.
	Env map[string]string
	// Owner is the home whose cleanup may remove the bottle, "" for none.
	Owner string
	// Block is the bottle's /27.
	Block   netip.Prefix
	Runtime string
	// UID and GID are what the sidecars run as.
	UID, GID int
	Keys     *Keys
	Trust    *pki.Trust
	// Grants are changes that the operator approved, on top of the manifest.
	Grants []wire.Grant
	// Image is the agent's image, "" for its provider's.
	Image string
	// Known are values that must not leave: the tokens, and what the operator
	// lists. Only their fingerprints are written.
	Known Secrets
	// Asked are variables of the agent's whose values the operator gave at the
	// launch. They are in no file of the bundle.
	Asked Secrets
	// Canaries are the planted values of the agent's environment.
	Canaries map[string]string
	// ImageIDs are the ids of the services' images as they were found before the
	// start; nil in a bundle for others, which has names.
	ImageIDs map[string]string
	// Workspace is a directory of the host that becomes the agent's workspace, ""
	// for none. It is copied, unless Mounted.
	Workspace string
	Mounted   bool
	// Machine says that the agent runs in a virtual machine.
	Machine bool
	// Datagrams says that the machine's monitor sends its frames as datagrams.
	Datagrams bool
	// Resume says that the launch goes on in a state directory that is there.
	Resume bool
}

// Base is the policy that the manifest gives.
func Base(b *manifest.Bottle) change.Policy {
	p := change.Policy{Egress: len(b.Routes) > 0, Routes: b.Routes, Allow: b.Hosts()}
	for _, r := range b.Git {
		p.Remotes = append(p.Remotes, wire.PolicyRemote{Name: r.Name, Refs: r.Refs})
	}
	return p
}

// policy is what is in force at a start.
func (s *Spec) policy() (change.Policy, error) {
	return change.Apply(Base(s.Bottle), s.Grants, time.Now())
}

// Keys are the secrets that are made for one launch.
type Keys struct {
	// Egress is nil in a bottle without routes.
	Egress, Pipelock *pki.Authority
	// Relay is the key that egressd and pipelockd share, in hexadecimal.
	Relay string
	// Known is the key of fingerprints, in hexadecimal.
	Known string
}

// NewKeys makes the authorities and the relay key of a launch.
func NewKeys(id bottle.Identity, b *manifest.Bottle, grants ...wire.Grant) (*Keys, error) {
	var k Keys
	p, err := change.Apply(Base(b), grants, time.Now())
	if err != nil {
		return nil, err
	}
	if p.Egress {
		if k.Egress, err = pki.Issue("egress", string(id), p.Hosts()); err != nil {
			return nil, err
		}
	}
	if k.Pipelock, err = pki.Issue("pipelock", string(id), p.Dialled()); err != nil {
		return nil, err
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails: crypto/rand ends the process instead
	k.Relay = hex.EncodeToString(key[:])
	_, _ = rand.Read(key[:])
	k.Known = hex.EncodeToString(key[:])
	return &k, nil
}

// Fingerprints are the SHA-256 of the roots, by proxy.
func (k *Keys) Fingerprints() map[string]string {
	out := map[string]string{"pipelock": pki.Fingerprint(k.Pipelock.Root)}
	if k.Egress != nil {
		out["egress"] = pki.Fingerprint(k.Egress.Root)
	}
	return out
}

// File is one file of a bundle.
type File struct {
	Path string
	Mode fs.FileMode
	Data []byte
	// Sidecar says that it belongs to the sidecars' user, not to the operator.
	Sidecar bool
}

// routes reports whether egressd stands in this bottle.
func (s *Spec) routes() bool { return len(s.Bottle.Routes) > 0 }

// Files builds the files of a bundle, without the keys of the roots.
func (s *Spec) Files() ([]File, error) {
	nets, err := compose.SplitNets(s.Block)
	if err != nil {
		return nil, err
	}
	composeFile, err := compose.Render(s.plan(nets))
	if err != nil {
		return nil, err
	}
	files := []File{
		{Path: "compose.yaml", Mode: 0o600, Data: composeFile},
		{Path: ".env.example", Mode: 0o600, Data: s.envExample()},
		{Path: compose.SeccompFile, Mode: 0o600, Data: compose.Seccomp()},
		{Path: "config/prompt.md", Mode: 0o644, Data: []byte(s.Agent.Prompt)},
	}
	if s.Runtime == compose.GVisor {
		files = append(files, File{Path: "config/resolv.conf", Mode: 0o644,
			Data: fmt.Appendf(nil, "nameserver %s\nsearch .\n", nets.ProxyAddress())})
	}
	gitConfig, err := s.gitConfig()
	if err != nil {
		return nil, err
	}
	files = append(files, File{Path: "config/gitconfig", Mode: 0o644, Data: gitConfig})
	configs, err := s.configs(nets)
	if err != nil {
		return nil, err
	}
	certs, err := s.certificates()
	if err != nil {
		return nil, err
	}
	known, err := s.knownFiles()
	if err != nil {
		return nil, err
	}
	clients, err := s.clients()
	if err != nil {
		return nil, err
	}
	return slices.Concat(files, clients, s.skills(), configs, certs, known), nil
}

// skills are the agent's, below a directory that every provider can point to.
func (s *Spec) skills() []File {
	var files []File
	for _, skill := range s.Agent.Skills {
		for _, f := range skill.Files {
			mode := fs.FileMode(0o644)
			if f.Executable {
				mode = 0o755
			}
			files = append(files, File{Path: path.Join("skills", skill.Name, f.Path), Mode: mode, Data: f.Data})
		}
	}
	return files
}

// clients are the settings of package clients that presets bring, and those of the
// agent's own program.
func (s *Spec) clients() ([]File, error) {
	var files []File
	for _, p := range s.Bottle.Taken {
		for _, name := range slices.Sorted(maps.Keys(p.Files)) {
			files = append(files, File{Path: "clients/" + name, Mode: 0o644, Data: p.Files[name]})
		}
	}
	guest := provider.Guest{Env: s.Env, Prompt: s.Agent.Prompt}
	if s.Bottle.Supervise {
		guest.MCP = provider.MCP
	}
	own, err := s.Bottle.Provider.Files(guest)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		files = append(files, File{Path: "clients/" + name, Mode: 0o644, Data: own[name]})
	}
	return files, err
}

// AgentImage is the reference of the agent's image.
func (s *Spec) AgentImage() string {
	if s.Image != "" {
		return s.Image
	}
	return s.Bottle.Provider.Image
}

func (s *Spec) plan(nets compose.Nets) compose.Plan {
	p := compose.Plan{
		Identity: string(s.Identity), Agent: s.Agent.Name, Bottle: s.Bottle.Name, Owner: s.Owner,
		Routes: s.routes(), Supervise: s.Bottle.Supervise, Git: s.git(), Machine: s.Machine, Runtime: s.Runtime, Images: compose.DefaultImages, Nets: nets,
		UID: s.UID, GID: s.GID, Tokens: s.Bottle.TokenRefs(), GitSecrets: s.Bottle.GitSecretNames(), Hosts: s.Bottle.Pipelock.Hosts, Env: s.Env, Resources: Resources(s.Bottle),
	}
	if s.Mounted {
		p.Workspace = s.Workspace
	}
	p.Images.Agent = s.AgentImage()
	if id := s.ImageIDs; id != nil {
		p.Pinned = true
		p.Images = compose.Images{Egressd: id["egress"], Pipelockd: id["pipelock"], Gitgated: id["git-gate"], Superviserd: id["supervise"], Gateway: id["gateway"], Agent: id["agent"]}
	}
	return p
}

// Resources are the limits of a bottle's agent, with the defaults filled in.
func Resources(b *manifest.Bottle) compose.Resources {
	r := compose.DefaultResources
	if b.Resources.CPUs != 0 {
		r.CPUs = b.Resources.CPUs
	}
	if b.Resources.Memory != 0 {
		r.Memory = int64(b.Resources.Memory)
	}
	if b.Resources.Pids != 0 {
		r.Pids = b.Resources.Pids
	}
	return r
}

// Places in the sidecars' containers.
const (
	caDir    = "/run/bottle/ca/"
	auditDir = "/var/log/bottle/"
)

func (s *Spec) configs(nets compose.Nets) ([]File, error) {
	policy, err := s.policy()
	if err != nil {
		return nil, err
	}
	files, err := s.proxies(nets, policy)
	if err == nil && s.git() {
		var more []File
		more, err = s.gitFiles(policy)
		files = append(files, more...)
	}
	if err == nil && s.Bottle.Supervise {
		var more []File
		more, err = s.supervise(nets, policy)
		files = append(files, more...)
	}
	if err == nil && s.Machine {
		var f File
		f, err = s.gateway()
		files = append(files, f)
	}
	return files, err
}

// names are the sidecars that the agent can resolve, beside its proxy.
func (s *Spec) names(nets compose.Nets, proxy string) map[string]string {
	names := map[string]string{proxy: nets.ProxyAddress().String()}
	if s.Bottle.Supervise {
		names["supervise"] = nets.SuperviseAddress().String()
	}
	if s.git() {
		names["git-gate"] = nets.GitAddress().String()
	}
	return names
}

func (s *Spec) proxies(nets compose.Nets, policy change.Policy) ([]File, error) {
	pair := wire.KeyPair{Certificate: caDir + "cert.pem", Key: caDir + "key.pem"}
	lock := wire.Pipelockd{
		Version: wire.Version, Bottle: string(s.Identity), CA: pair,
		Listen: wire.PipelockdListen{Proxy: ":8888", Admin: "127.0.0.1:9902"},
		Audit:  wire.Audit{File: auditDir + "pipelockd.jsonl"},
		Allow:  policy.Allow, AllowPrivate: s.Bottle.Pipelock.AllowPrivate, Hosts: s.Bottle.Pipelock.Hosts,
		Scan:   wire.Scan{Actions: s.Bottle.Pipelock.Actions, SeedPhrases: s.Bottle.Pipelock.SeedPhrases},
		Limits: s.Bottle.Pipelock.Limits, KillFile: "/etc/bottle/kill",
	}
	if s.known() {
		lock.Known = &wire.KnownFiles{Key: caDir + "known.key", Fingerprints: caDir + "known.yaml"}
	}
	if len(s.Trust.Certs) > 0 {
		lock.UpstreamCA = []string{caDir + "upstream.pem"}
	}
	if !s.routes() {
		lock.DNS = &wire.DNS{Listen: ":53", Names: s.names(nets, "pipelock")}
		f, err := config("config/pipelockd.yaml", lock)
		return []File{f}, err
	}
	lock.RelayKey, lock.Listen.Proxy = caDir+"relay.key", wire.Socket(compose.HopSocket)
	egress := wire.Egressd{
		Version: wire.Version, Bottle: string(s.Identity), CA: pair,
		Listen:     wire.EgressdListen{Proxy: ":9099", Admin: "127.0.0.1:9901"},
		Upstream:   wire.Upstream{Proxy: lock.Listen.Proxy, CA: caDir + "upstream.pem", RelayKey: caDir + "relay.key"},
		SecretsDir: secretsDir,
		DNS:        &wire.DNS{Listen: ":53", Names: s.names(nets, "egress")},
		Audit:      wire.Audit{File: auditDir + "egressd.jsonl"},
		Routes:     policy.Routes,
	}
	f1, err := config("config/egressd.yaml", egress)
	if err != nil {
		return nil, err
	}
	f2, err := config("config/pipelockd.yaml", lock)
	return []File{f1, f2}, err
}

func config(path string, v any) (File, error) {
	data, err := Encode(v)
	if err != nil {
		return File{}, fmt.Errorf("cannot write %s: %w", path, err)
	}
	return File{Path: path, Mode: 0o600, Data: data, Sidecar: true}, nil
}

// Encode writes a sidecar's configuration.
func Encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteString("# Written by the launcher for one bottle.\n")
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	err := enc.Encode(v)
	return buf.Bytes(), errors.Join(err, enc.Close())
}
