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
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

// Spec is all that the files of a bottle depend on.
type Spec struct {
	Identity bottle.Identity
	Agent    *manifest.Agent
	Bottle   *manifest.Bottle
	// Env is the agent's environment with its values.
	Env map[string]string
	// Owner is the home whose cleanup may remove the bottle, "" for none.
	Owner string
	// Block is the bottle's /26.
	Block   netip.Prefix
	Runtime string
	// UID and GID are what the sidecars run as.
	UID, GID int
	Keys     *Keys
	Trust    *pki.Trust
}

// Keys are the secrets that are made for one launch.
type Keys struct {
	// Egress is nil in a bottle without routes.
	Egress, Pipelock *pki.Authority
	// Relay is the key that egressd and pipelockd share, in hexadecimal.
	Relay string
}

// NewKeys makes the authorities and the relay key of a launch.
func NewKeys(id bottle.Identity, b *manifest.Bottle) (*Keys, error) {
	var k Keys
	var err error
	var dialled, routed []string
	for _, h := range b.Hosts() {
		dialled = append(dialled, h.Host)
	}
	for _, r := range b.Routes {
		routed = append(routed, r.Host)
	}
	if len(routed) > 0 {
		if k.Egress, err = pki.Issue("egress", string(id), routed); err != nil {
			return nil, err
		}
	}
	if k.Pipelock, err = pki.Issue("pipelock", string(id), dialled); err != nil {
		return nil, err
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails: crypto/rand ends the process instead
	k.Relay = hex.EncodeToString(key[:])
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
	if s.Runtime == "runsc" {
		files = append(files, File{Path: "config/resolv.conf", Mode: 0o644,
			Data: fmt.Appendf(nil, "nameserver %s\nsearch .\n", nets.ProxyAddress())})
	}
	configs, err := s.configs(nets)
	if err != nil {
		return nil, err
	}
	certs, err := s.certificates()
	if err != nil {
		return nil, err
	}
	return slices.Concat(files, s.clients(), configs, certs), nil
}

// clients are the settings of package clients that presets bring.
func (s *Spec) clients() []File {
	var files []File
	for _, p := range s.Bottle.Taken {
		for _, name := range slices.Sorted(maps.Keys(p.Files)) {
			files = append(files, File{Path: "clients/" + name, Mode: 0o644, Data: p.Files[name]})
		}
	}
	return files
}

func (s *Spec) plan(nets compose.Nets) compose.Plan {
	p := compose.Plan{
		Identity: string(s.Identity), Agent: s.Agent.Name, Bottle: s.Bottle.Name, Owner: s.Owner,
		Routes: s.routes(), Runtime: s.Runtime, Images: compose.DefaultImages, Nets: nets,
		UID: s.UID, GID: s.GID, Tokens: s.Bottle.TokenRefs(), Env: s.Env, Resources: Resources(s.Bottle),
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
	pair := wire.KeyPair{Certificate: caDir + "cert.pem", Key: caDir + "key.pem"}
	proxy := nets.ProxyAddress().String()
	lock := wire.Pipelockd{
		Version: wire.Version, Bottle: string(s.Identity), CA: pair,
		Listen: wire.PipelockdListen{Proxy: ":8888", Admin: "127.0.0.1:9902"},
		Audit:  wire.Audit{File: auditDir + "pipelockd.jsonl"},
		Allow:  s.Bottle.Hosts(), AllowPrivate: s.Bottle.Pipelock.AllowPrivate, Hosts: s.Bottle.Pipelock.Hosts,
	}
	if len(s.Trust.Certs) > 0 {
		lock.UpstreamCA = []string{caDir + "upstream.pem"}
	}
	if !s.routes() {
		lock.DNS = &wire.DNS{Listen: ":53", Names: map[string]string{"pipelock": proxy}}
		f, err := config("config/pipelockd.yaml", lock)
		return []File{f}, err
	}
	lock.RelayKey = caDir + "relay.key"
	egress := wire.Egressd{
		Version: wire.Version, Bottle: string(s.Identity), CA: pair,
		Listen:     wire.EgressdListen{Proxy: ":9099", Admin: "127.0.0.1:9901"},
		Upstream:   wire.Upstream{Proxy: "http://pipelock:8888", CA: caDir + "upstream.pem", RelayKey: caDir + "relay.key"},
		SecretsDir: "/run/secrets",
		DNS:        &wire.DNS{Listen: ":53", Names: map[string]string{"egress": proxy}},
		Audit:      wire.Audit{File: auditDir + "egressd.jsonl"},
		Routes:     s.Bottle.Routes,
	}
	f1, err := config("config/egressd.yaml", egress)
	if err != nil {
		return nil, err
	}
	f2, err := config("config/pipelockd.yaml", lock)
	return []File{f1, f2}, err
}

func config(path string, v any) (File, error) {
	var buf bytes.Buffer
	buf.WriteString("# Written by the launcher for one bottle.\n")
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return File{}, fmt.Errorf("cannot write %s: %w", path, err)
	}
	return File{Path: path, Mode: 0o600, Data: buf.Bytes(), Sidecar: true}, enc.Close()
}
