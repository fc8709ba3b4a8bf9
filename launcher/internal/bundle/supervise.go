package bundle

import (
	"fmt"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/wire"
)

// BaseFile and GrantsFile hold, in the state directory, what the manifest allows
// and what the operator has approved beside it. No container sees them.
const (
	BaseFile   = "policy/base.yaml"
	GrantsFile = "policy/grants.yaml"
)

// View is a policy as superviserd shows it.
func View(p change.Policy) wire.Policy {
	v := wire.Policy{Pipelock: wire.PolicyPipelock{Allow: p.Allow}}
	if p.Egress {
		v.Egress = &wire.PolicyEgress{Routes: p.Routes}
	}
	if len(p.Remotes) > 0 {
		v.Git = &wire.PolicyGit{Remotes: p.Remotes, Allowances: p.Findings}
	}
	return v
}

// supervise are superviserd's configuration and the policy that approvals start
// from.
func (s *Spec) supervise(nets compose.Nets, policy change.Policy) ([]File, error) {
	c := wire.Superviserd{
		Version: wire.Version, Bottle: string(s.Identity),
		Listen: wire.SuperviserdListen{MCP: ":9100", Admin: "127.0.0.1:9904"},
		Hosts:  []string{"supervise", nets.SuperviseAddress().String()},
		Queue:  wire.Queue{Proposals: "/run/bottle/proposals", Decisions: "/run/bottle/decisions"},
		Audit:  wire.Audit{File: auditDir + "superviserd.jsonl"},
		Policy: View(policy),
	}
	f, err := config("config/superviserd.yaml", c)
	if err != nil {
		return nil, err
	}
	base, err := Encode(View(Base(s.Bottle)))
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", BaseFile, err)
	}
	grants, err := Encode(wire.Grants{Version: wire.Version, Grants: s.Grants})
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", GrantsFile, err)
	}
	return []File{
		f, {Path: BaseFile, Mode: 0o600, Data: base}, {Path: GrantsFile, Mode: 0o600, Data: grants},
	}, nil
}
