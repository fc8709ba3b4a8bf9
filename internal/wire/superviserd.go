package wire

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"
)

// Superviserd is /etc/bottle/superviserd.yaml.
type Superviserd struct {
	Version int               `yaml:"version"`
	Bottle  string            `yaml:"bottle"`
	Listen  SuperviserdListen `yaml:"listen"`
	// Hosts are the names by which clients call the MCP port. A request with
	// another Host is refused: it was made for somebody else's page.
	Hosts []string `yaml:"hosts"`
	Queue Queue    `yaml:"queue"`
	// Wait is how long a call waits for the operator before it returns
	// "pending"; 0 or absent means 30s.
	Wait  Duration `yaml:"wait,omitempty"`
	Audit Audit    `yaml:"audit"`
	// Policy is what the bottle allows at present, for list-egress-routes.
	Policy Policy `yaml:"policy,omitempty"`
}

// SuperviserdListen holds superviserd's addresses.
type SuperviserdListen struct {
	MCP   string `yaml:"mcp"`   // ":9100"
	Admin string `yaml:"admin"` // loopback only: health, status, metrics
}

// Queue names the two directories of a bottle's queue.
type Queue struct {
	// Proposals is written by superviserd and read by the launcher.
	Proposals string `yaml:"proposals"`
	// Decisions is written by the launcher; superviserd needs to read it only.
	Decisions string `yaml:"decisions"`
}

// Policy is what a bottle allows, in the manifest's own schema.
type Policy struct {
	// Egress is nil in a bottle without egressd.
	Egress   *PolicyEgress  `yaml:"egress,omitempty"`
	Pipelock PolicyPipelock `yaml:"pipelock,omitempty"`
	// Git is nil in a bottle without remotes.
	Git *PolicyGit `yaml:"git,omitempty"`
}

// PolicyEgress is what egressd takes.
type PolicyEgress struct {
	Routes []Route `yaml:"routes"`
}

// PolicyPipelock is what pipelockd dials.
type PolicyPipelock struct {
	Allow []AllowHost `yaml:"allow,omitempty"`
}

// PolicyGit is what the git gate serves, and which findings it lets pass.
type PolicyGit struct {
	Remotes    []PolicyRemote `yaml:"remotes"`
	Allowances []GitAllowance `yaml:"allowances,omitempty"`
}

// PolicyRemote is a remote as the agent may know it.
type PolicyRemote struct {
	Name string  `yaml:"name"`
	Refs GitRefs `yaml:"refs,omitempty"`
}

// Duration is a span of time, written as 500ms, 30s or 1h30m.
type Duration time.Duration

// UnmarshalYAML reads a duration from a scalar.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration such as 30s or 5m", n.Value)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes the duration as it is read.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }
