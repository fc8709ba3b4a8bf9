package bundle

import (
	"fmt"
	"strings"

	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

// secretsDir is where Compose puts secret files.
const secretsDir = "/run/secrets"

// git reports whether gitgated stands in this bottle.
func (s *Spec) git() bool { return len(s.Bottle.Git) > 0 }

// gitFiles are gitgated's configuration and the roots it trusts.
func (s *Spec) gitFiles(policy change.Policy) ([]File, error) {
	c := wire.Gitgated{
		Version: wire.Version, Bottle: string(s.Identity),
		Listen: wire.GitgatedListen{Git: ":9418", HTTP: ":9420", Admin: "127.0.0.1:9903"},
		Audit:  wire.Audit{File: auditDir + "gitgated.jsonl"},
		State:  "/var/lib/bottle", SecretsDir: secretsDir, Allowances: policy.Findings,
	}
	for _, r := range s.Bottle.Git {
		if r.IdentityFile != "" {
			r.IdentityFile = secretsDir + "/" + manifest.KeyName(r.Name)
		}
		c.Remotes = append(c.Remotes, r)
	}
	var files []File
	if len(s.Trust.Certs) > 0 {
		c.UpstreamCA = []string{caDir + "upstream.pem"}
		files = append(files, File{Path: "ca/git-gate/upstream.pem", Mode: 0o600, Data: pki.CertPEM(s.Trust.Certs...), Sidecar: true})
	}
	f, err := config("config/gitgated.yaml", c)
	return append(files, f), err
}

// gitConfig is /etc/gitconfig in the guest: who the agent is, and that its git asks
// the gate whatever spelling of an upstream's URL the agent uses.
func (s *Spec) gitConfig() ([]byte, error) {
	var b strings.Builder
	b.WriteString("# Written by the launcher. Nothing here is a secret.\n")
	if u := s.Agent.GitUser; u != nil {
		fmt.Fprintf(&b, "[user]\n\tname = %s\n\temail = %s\n", gitQuoted(u.Name), gitQuoted(u.Email))
	}
	for _, r := range s.Bottle.Git {
		u, err := gitremote.Parse(r.Upstream)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "[url \"http://git-gate:9420/%s.git\"]\n", r.Name)
		for _, spelling := range u.Spellings() {
			fmt.Fprintf(&b, "\tinsteadOf = \"%s\"\n", spelling)
		}
	}
	return []byte(b.String()), nil
}

// gitQuoted writes a value of one line for git's configuration.
func gitQuoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
