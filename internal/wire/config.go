package wire

// Egressd is /etc/bottle/egressd.yaml.
type Egressd struct {
	Version int `yaml:"version"`
	// Bottle is the identity that the audit carries.
	Bottle string        `yaml:"bottle"`
	Listen EgressdListen `yaml:"listen"`
	// CA signs the leaves that the agent sees.
	CA KeyPair `yaml:"ca"`
	// Upstream is how requests leave. Its zero value means: directly.
	Upstream Upstream `yaml:"upstream,omitempty"`
	// SecretsDir holds one file for each token_ref.
	SecretsDir string  `yaml:"secrets_dir,omitempty"`
	DNS        *DNS    `yaml:"dns,omitempty"`
	Audit      Audit   `yaml:"audit"`
	Routes     []Route `yaml:"routes"`
}

// EgressdListen holds egressd's addresses.
type EgressdListen struct {
	Proxy string `yaml:"proxy"` // ":9099"
	Admin string `yaml:"admin"` // loopback only: health, status, metrics
}

// Upstream is egressd's way out.
type Upstream struct {
	// Proxy is pipelockd: http://host:port, or unix:// and the path of its socket.
	Proxy string `yaml:"proxy,omitempty"`
	// CA is the file with the roots that egressd trusts on its outbound leg.
	CA string `yaml:"ca,omitempty"`
	// RelayKey is the file with the key that authenticates the list of
	// injected fields to pipelockd.
	RelayKey string `yaml:"relay_key,omitempty"`
	// AllowPrivate and Hosts are for egressd without pipelockd; they mean what
	// they do there.
	AllowPrivate []string          `yaml:"allow_private,omitempty"`
	Hosts        map[string]string `yaml:"hosts,omitempty"`
}

// Pipelockd is /etc/bottle/pipelockd.yaml.
type Pipelockd struct {
	Version int             `yaml:"version"`
	Bottle  string          `yaml:"bottle"`
	Listen  PipelockdListen `yaml:"listen"`
	CA      KeyPair         `yaml:"ca"`
	// RelayKey is the file with the key shared with egressd.
	RelayKey string `yaml:"relay_key,omitempty"`
	// UpstreamCA are PEM files trusted beside the public roots.
	UpstreamCA []string `yaml:"upstream_ca,omitempty"`
	DNS        *DNS     `yaml:"dns,omitempty"`
	Audit      Audit    `yaml:"audit"`
	// Allow lists what may be dialled.
	Allow []AllowHost `yaml:"allow"`
	// AllowPrivate lists host names and CIDRs that may resolve to addresses
	// that are not public.
	AllowPrivate []string `yaml:"allow_private,omitempty"`
	// Hosts pins names to addresses, before DNS.
	Hosts map[string]string `yaml:"hosts,omitempty"`
	Scan  Scan              `yaml:"scan,omitempty"`
	// Known is nil without known values.
	Known  *KnownFiles `yaml:"known,omitempty"`
	Limits SendLimits  `yaml:"limits,omitempty"`
	// KillFile denies everything while it exists; see `pipelockd kill`.
	KillFile string `yaml:"kill_file,omitempty"`
}

// PipelockdListen holds pipelockd's addresses.
type PipelockdListen struct {
	Proxy string `yaml:"proxy"` // ":8888", or unix:// and the path of a socket
	Admin string `yaml:"admin"`
}

// AllowHost is one entry of pipelockd's allowlist.
type AllowHost struct {
	// Host is an exact name or "*.suffix", with ":port" unless 443.
	Host string `yaml:"host"`
	// WebSocket allows an upgrade.
	WebSocket bool `yaml:"websocket,omitempty"`
	// SeedPhrases overrides scan.seed_phrases for this host.
	SeedPhrases *bool `yaml:"seed_phrases,omitempty"`
	// MaxBytes and RequestsPerMinute override the limits for this host.
	MaxBytes          Size `yaml:"max_bytes,omitempty"`
	RequestsPerMinute int  `yaml:"requests_per_minute,omitempty"`
	// Expires is when the entry ends; absent means never.
	Expires Instant `yaml:"expires,omitempty"`
}

// KeyPair names the PEM files of a signing certificate (with its chain up to,
// not including, the root) and its key.
type KeyPair struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// DNS configures the answerer that stands in for the guest's resolver.
type DNS struct {
	Listen string `yaml:"listen"` // ":53", UDP and TCP
	// Names maps sidecar names to IPv4 addresses; everything else is NXDOMAIN.
	Names map[string]string `yaml:"names"`
}

// Audit configures the decision log.
type Audit struct {
	// File is the JSON lines file; its directory must exist.
	File string `yaml:"file"`
	// MaxBytes is the size at which the file is set aside as NAME.00001.jsonl
	// and so on; unset, [DefaultAuditBytes].
	MaxBytes Size `yaml:"max_bytes,omitempty"`
	// Keep is how many such files stay; 0 means all.
	Keep int `yaml:"keep,omitempty"`
}

// DefaultAuditBytes is some 200,000 requests.
const DefaultAuditBytes Size = 64 << 20
