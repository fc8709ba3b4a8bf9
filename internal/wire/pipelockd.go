package wire

// Scan says what becomes of the secrets that pipelockd finds.
type Scan struct {
	// Actions are tried in order; the first that fits a finding's rule and host
	// decides. Without one a secret is blocked.
	Actions []ScanAction `yaml:"actions,omitempty"`
	// SeedPhrases says whether BIP-39 seed phrases are looked for: on every host
	// but those of model APIs if absent, on none if false.
	SeedPhrases *bool `yaml:"seed_phrases,omitempty"`
}

// ScanAction is one entry of the actions.
type ScanAction struct {
	// Rules are names, or beginnings of names that end in "*"; absent = all.
	Rules []string `yaml:"rules,omitempty"`
	// Hosts are patterns as in allow; absent = all.
	Hosts []string `yaml:"hosts,omitempty"`
	// Action is block, redact, warn or ignore.
	Action string `yaml:"action"`
}

// KnownFiles are where pipelockd learns of values that must not leave.
type KnownFiles struct {
	// Key is a file of 64 hexadecimal digits under which fingerprints were made.
	Key string `yaml:"key"`
	// Fingerprints is a file, a [Known] document.
	Fingerprints string `yaml:"fingerprints"`
}

// Known is a file of fingerprints. It never holds a value.
type Known struct {
	Version int          `yaml:"version"`
	Values  []KnownValue `yaml:"values"`
}

// KnownValue is the fingerprint of one value.
type KnownValue struct {
	Name string `yaml:"name"`
	// Kind is known-secret or canary.
	Kind string `yaml:"kind"`
	// Pieces are the rolling hashes, 16 hexadecimal digits each.
	Pieces string `yaml:"pieces"`
}

// SendLimits bound what leaves. Zero means no bound.
type SendLimits struct {
	// BottleBytes and HostBytes bound what is sent in all and to one host, from
	// start to end of the process.
	BottleBytes Size `yaml:"bottle_bytes,omitempty"`
	HostBytes   Size `yaml:"host_bytes,omitempty"`
	// RequestsPerMinute bounds the requests to one host; Burst is how many may
	// come at once, a minute's worth if zero.
	RequestsPerMinute int `yaml:"requests_per_minute,omitempty"`
	Burst             int `yaml:"burst,omitempty"`
}
