package wire

// Gitgated is /etc/bottle/gitgated.yaml.
type Gitgated struct {
	Version int `yaml:"version"`
	// Bottle is the identity that the audit carries.
	Bottle string         `yaml:"bottle"`
	Listen GitgatedListen `yaml:"listen"`
	Audit  Audit          `yaml:"audit"`
	// State is the directory of mirrors and quarantines.
	State string `yaml:"state"`
	// SecretsDir holds one file for each token_ref.
	SecretsDir string `yaml:"secrets_dir,omitempty"`
	// UpstreamCA are PEM files trusted beside the system's roots.
	UpstreamCA []string `yaml:"upstream_ca,omitempty"`
	// FetchMaxAge is how old what was learnt from the upstream may be when a
	// fetch is answered with it; 0s asks before every answer.
	FetchMaxAge Duration    `yaml:"fetch_max_age,omitempty"`
	Remotes     []GitRemote `yaml:"remotes"`
	// Allowances are findings that the operator has approved.
	Allowances []GitAllowance `yaml:"allowances,omitempty"`
}

// GitgatedListen holds gitgated's addresses.
type GitgatedListen struct {
	Git   string `yaml:"git,omitempty"` // ":9418", "" for none
	HTTP  string `yaml:"http"`          // ":9420"
	Admin string `yaml:"admin"`         // loopback only: health, status, metrics
}

// GitRemote is one repository behind the gate. It is the same struct in a
// bottle's manifest and in gitgated.yaml.
type GitRemote struct {
	// Name is how the gate calls it: http://git-gate:9420/<name>.git
	Name string `yaml:"name"`
	// Upstream is its ssh:// or https:// URL, or the scp-like user@host:path.
	Upstream string `yaml:"upstream"`
	// IdentityFile is the private key for ssh.
	IdentityFile string `yaml:"identity_file,omitempty"`
	// KnownHostKey is the server's key for ssh, as in "ssh-ed25519 AAAA...".
	KnownHostKey string `yaml:"known_host_key,omitempty"`
	// TokenRef names the token for https.
	TokenRef string    `yaml:"token_ref,omitempty"`
	Refs     GitRefs   `yaml:"refs,omitempty"`
	Limits   GitLimits `yaml:"limits,omitempty"`
}

// What may become of tags that the allow patterns take.
const (
	TagsCreate = "create" // made, never moved; what holds where nothing is said
	TagsMove   = "move"   // made and moved
	TagsDeny   = "deny"   // neither
)

// GitRefs says what may be pushed. Its zero value allows nothing.
type GitRefs struct {
	// Allow are full ref names with at most one "*", which stands for any
	// characters, slashes included.
	Allow []string `yaml:"allow,omitempty"`
	// Force allows updates of branches that are not fast-forwards.
	Force bool `yaml:"force,omitempty"`
	// Delete allows the deletion of refs.
	Delete bool `yaml:"delete,omitempty"`
	// Tags is one of the Tags constants.
	Tags string `yaml:"tags,omitempty"`
}

// GitLimits bound one push. Zero means the default.
type GitLimits struct {
	MaxPushBytes   Size     `yaml:"max_push_bytes,omitempty"`   // of the pack; 2GiB
	MaxObjectBytes Size     `yaml:"max_object_bytes,omitempty"` // of one object; 1GiB
	MaxObjects     int      `yaml:"max_objects,omitempty"`      // 2000000
	MaxRefs        int      `yaml:"max_refs,omitempty"`         // 1000
	MaxTime        Duration `yaml:"max_time,omitempty"`         // 15m
}

// GitAllowance lets one finding pass: this rule, in exactly this object.
type GitAllowance struct {
	// Object is the full object id.
	Object string `yaml:"object"`
	Rule   string `yaml:"rule"`
	// Expires is when the approval ends.
	Expires Instant `yaml:"expires"`
}

// GitFinding names what the git gate found, as far as the agent says.
type GitFinding struct {
	Remote string `yaml:"remote"`
	// Object is the full object id and Rule the rule that matched: what an
	// approval is for.
	Object string `yaml:"object"`
	Rule   string `yaml:"rule"`
	// Path and Commit are where the agent says that it is; nothing depends on
	// them.
	Path   string `yaml:"path,omitempty"`
	Commit string `yaml:"commit,omitempty"`
}
