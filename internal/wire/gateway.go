package wire

import "time"

// GatewayTellAgain is after how long a gateway's audit tells a flow again that
// opens no connection.
const GatewayTellAgain = 10 * time.Second

// Gateway is gvproxy.yaml: the network of one virtual machine, in the format of
// gvproxy, so that it reads like any other, with one section of our own. Of
// gvproxy's keys only those below are known; the others open doors.
type Gateway struct {
	// Bottle is our own section: what gvproxy has no word for.
	Bottle GatewayBottle `yaml:"bottle"`
	Stack  GatewayStack  `yaml:"stack"`
	// Interfaces says where the guest is attached.
	Interfaces GatewayInterfaces `yaml:"interfaces"`
}

// GatewayBottle is what makes the gateway a bottle's.
type GatewayBottle struct {
	Version  int    `yaml:"version"`
	Identity string `yaml:"identity"`
	Admin    string `yaml:"admin"` // loopback only: health, status, metrics
	Audit    Audit  `yaml:"audit"`
	// Guest is the IPv4 address of the one guest; its hardware address stands in
	// stack.dhcpStaticLeases.
	Guest string `yaml:"guest"`
	// Forwards are all the connections that a guest can make.
	Forwards []GatewayForward `yaml:"forwards"`
}

// GatewayForward is one sidecar port.
type GatewayForward struct {
	Name   string `yaml:"name"`
	Listen string `yaml:"listen"` // address:port in the guest's subnet
	// Dial is where a connection goes: address:port, or unix:/path.
	Dial string `yaml:"dial"`
}

// GatewayStack has the names of gvproxy's types.Configuration.
type GatewayStack struct {
	MTU               int               `yaml:"mtu"`
	Subnet            string            `yaml:"subnet"`
	GatewayIP         string            `yaml:"gatewayIP"`
	GatewayMacAddress string            `yaml:"gatewayMacAddress"`
	GatewayVirtualIPs []string          `yaml:"gatewayVirtualIPs,omitempty"`
	DHCPStaticLeases  map[string]string `yaml:"dhcpStaticLeases"`
	// DNS are the only names that exist, one zone each.
	DNS []GatewayZone `yaml:"dns"`
}

// GatewayZone is one name, with the closing dot that gvproxy wants.
type GatewayZone struct {
	Name      string `yaml:"name"`
	DefaultIP string `yaml:"defaultIP"`
}

// GatewayInterfaces holds at most one way to attach the guest.
type GatewayInterfaces struct {
	// Qemu is unix:///path, a stream whose frames have a length of four bytes.
	Qemu string `yaml:"qemu,omitempty"`
	// Vfkit is unixgram:///path, one datagram a frame.
	Vfkit string `yaml:"vfkit,omitempty"`
	// Tap is the name of a TAP device in the gateway's own network namespace;
	// FD is the number of an inherited descriptor. gvproxy has neither.
	Tap string `yaml:"tap,omitempty"`
	FD  int    `yaml:"fd,omitempty"`
}
