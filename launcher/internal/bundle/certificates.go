package bundle

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

// certificates are the files below ca/ that containers see.
func (s *Spec) certificates() ([]File, error) {
	k := s.Keys
	files, err := proxyFiles("ca/pipelock", k.Pipelock, s.Trust.Certs)
	if err != nil {
		return nil, err
	}
	trusted := k.Pipelock.Root
	if k.Egress != nil {
		trusted = k.Egress.Root
		more, err := proxyFiles("ca/egress", k.Egress, []*x509.Certificate{k.Pipelock.Root})
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
		for _, dir := range []string{"ca/egress", "ca/pipelock"} {
			files = append(files, File{Path: dir + "/relay.key", Mode: 0o600, Data: []byte(k.Relay + "\n"), Sidecar: true})
		}
	}
	hash, err := pki.SubjectHash(trusted)
	if err != nil {
		return nil, err
	}
	pem := pki.CertPEM(trusted)
	return append(files,
		File{Path: "ca/agent/ca-certificates.crt", Mode: 0o644, Data: pem},
		File{Path: "ca/agent/" + hash + ".0", Mode: 0o644, Data: pem},
	), nil
}

// proxyFiles are what a proxy needs to mint leaves and to verify its upstream.
func proxyFiles(dir string, a *pki.Authority, upstream []*x509.Certificate) ([]File, error) {
	key, err := pki.KeyPEM(a.Key)
	if err != nil {
		return nil, err
	}
	files := []File{
		{Path: dir + "/cert.pem", Mode: 0o600, Data: pki.CertPEM(a.Cert), Sidecar: true},
		{Path: dir + "/key.pem", Mode: 0o600, Data: key, Sidecar: true},
	}
	if len(upstream) > 0 {
		files = append(files, File{Path: dir + "/upstream.pem", Mode: 0o600, Data: pki.CertPEM(upstream...), Sidecar: true})
	}
	return files, nil
}

// RootFiles are the roots with their keys, for the state directory alone.
func (k *Keys) RootFiles() ([]File, error) {
	var files []File
	for name, a := range map[string]*pki.Authority{"egress": k.Egress, "pipelock": k.Pipelock} {
		if a == nil {
			continue
		}
		key, err := pki.KeyPEM(a.RootKey)
		if err != nil {
			return nil, err
		}
		files = append(files,
			File{Path: "ca/roots/" + name + ".pem", Mode: 0o600, Data: pki.CertPEM(a.Root)},
			File{Path: "ca/roots/" + name + ".key", Mode: 0o600, Data: key})
	}
	return files, nil
}

// envExample names the token files that compose.yaml asks for.
func (s *Spec) envExample() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Copy to .env and fill in. Each value is the path of a file that holds the bare\n"+
		"# token: on a tmpfs (below /dev/shm or $XDG_RUNTIME_DIR), mode 0400, owned by uid %d.\n", s.UID)
	refs := s.Bottle.TokenRefs()
	gits := s.Bottle.GitSecrets()
	if len(refs)+len(gits) == 0 {
		b.WriteString("# This bottle holds no tokens, so there is nothing to fill in.\n")
	}
	for _, g := range gits {
		what := "a copy of " + g.File
		if g.File == "" {
			what = "a token"
		}
		fmt.Fprintf(&b, "# %s: %s, for a git remote\n", g.Name, what)
		if !slices.Contains(refs, g.Name) {
			fmt.Fprintf(&b, "%s_FILE=\n", g.Name)
		}
	}
	for _, ref := range refs {
		for _, r := range s.Bottle.Routes {
			if r.Auth != nil && r.Auth.TokenRef == ref {
				fmt.Fprintf(&b, "# %s: %s\n", ref, r.Host)
			}
		}
		fmt.Fprintf(&b, "%s_FILE=\n", ref)
	}
	return []byte(b.String())
}
