package wire

// Status is what a daemon's `status` prints and its admin listener serves at
// /status.
type Status struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	Bottle    string `json:"bottle"`
	// ConfigSHA256 is the hash of the configuration file in force.
	ConfigSHA256 string `json:"config_sha256"`
	// LoadedAt is when it came into force, RFC 3339 in UTC.
	LoadedAt string `json:"loaded_at"`
	// LastError is why the newest reload was refused, "" when it was not.
	LastError string `json:"last_error,omitempty"`
	// Counters are decisions since start, by name.
	Counters map[string]uint64 `json:"counters"`
}
