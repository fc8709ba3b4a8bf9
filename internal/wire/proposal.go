package wire

// Tools by which an agent asks for a change.
const (
	ToolEgress     = "egress-block"
	ToolPipelock   = "pipelock-block"
	ToolCapability = "capability-block"
	ToolGitleaks   = "gitleaks-allow"
)

// Proposal is one file of a bottle's queue: what the agent asks for. It is
// written by superviserd, which the agent talks to, so whoever reads it trusts
// nothing in it.
type Proposal struct {
	Version int `yaml:"version"`
	// ID is made of the rest (queue.ID), so a proposal cannot be exchanged for
	// another one under the operator's eyes.
	ID        string  `yaml:"id"`
	Bottle    string  `yaml:"bottle"`
	Tool      string  `yaml:"tool"`
	CreatedAt Instant `yaml:"created_at"`
	// Justification is the agent's own sentence.
	Justification string `yaml:"justification"`
	// Route is what egress-block asks for.
	Route *Route `yaml:"route,omitempty"`
	// Host is what pipelock-block asks for, a host pattern.
	Host string `yaml:"host,omitempty"`
	// FailedURL is the URL that pipelockd refused, if the agent named one.
	FailedURL string `yaml:"failed_url,omitempty"`
	// Dockerfile is what capability-block asks for: instructions to run on top
	// of the bottle's agent image.
	Dockerfile string `yaml:"dockerfile,omitempty"`
	// Finding is what gitleaks-allow asks for.
	Finding *GitFinding `yaml:"finding,omitempty"`
}

// Verdicts of the operator.
const (
	Approved = "approved"
	Rejected = "rejected"
)

// Scopes of an approval.
const (
	ScopeOnce = "once"     // until this bottle stops
	ScopeFor  = "for"      // until Expires, across restarts
	ScopeGood = "for-good" // and written into the bottle's manifest
)

// Decision is the operator's answer to a proposal. The launcher writes it, after
// the change that it speaks of is in force.
type Decision struct {
	Version   int     `yaml:"version"`
	Proposal  string  `yaml:"proposal"`
	Verdict   string  `yaml:"verdict"`
	DecidedAt Instant `yaml:"decided_at"`
	// Scope and Expires say how far an approval reaches.
	Scope   string  `yaml:"scope,omitempty"`
	Expires Instant `yaml:"expires,omitempty"`
	// Reason is what the operator wants the agent to know.
	Reason string `yaml:"reason,omitempty"`
	// Edited says that something else than what was asked was put in force.
	Edited bool `yaml:"edited,omitempty"`
	// Changes are what was put in force, in words.
	Changes []string `yaml:"changes,omitempty"`
}

// Grant is an approved change of a bottle's policy, kept by the launcher.
type Grant struct {
	Proposal  string  `yaml:"proposal"`
	GrantedAt Instant `yaml:"granted_at"`
	Scope     string  `yaml:"scope"`
	Expires   Instant `yaml:"expires,omitempty"`
	Route     *Route  `yaml:"route,omitempty"`
	Host      string  `yaml:"host,omitempty"`
	// Finding is a grant for the git gate. It always ends.
	Finding *GitFinding `yaml:"finding,omitempty"`
}

// Grants is the file that holds them.
type Grants struct {
	Version int     `yaml:"version"`
	Grants  []Grant `yaml:"grants"`
}
