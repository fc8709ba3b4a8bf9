package wire

// Guest is guest.json, which the init of a virtual machine reads: all that the
// machine is told about its bottle. It holds no secret.
type Guest struct {
	Version  int          `json:"version"`
	Hostname string       `json:"hostname"`
	Network  GuestNetwork `json:"network"`
	// Env is the environment of every command.
	Env map[string]string `json:"env"`
	// Hosts are names with their addresses, for /etc/hosts.
	Hosts map[string]string `json:"hosts"`
	// Mounts are shown read-only over the machine's root.
	Mounts []GuestMount `json:"mounts"`
	// User is who commands run as where nobody else is named; WorkDir is where.
	User    string `json:"user"`
	WorkDir string `json:"workdir"`
	// Pids bounds the processes of a user.
	Pids int64 `json:"pids"`
	// Layer is unused where the machine's disks are somebody else's.
	Layer GuestLayer `json:"layer,omitzero"`
}

// GuestNetwork is the machine's one card.
type GuestNetwork struct {
	Address string `json:"address"` // with the length of the prefix
	Gateway string `json:"gateway"` // which is also the resolver
	MTU     int    `json:"mtu"`
}

// GuestMount is a file or directory of the initial file system.
type GuestMount struct {
	Source string `json:"source"`
	Target string `json:"target"`
}
