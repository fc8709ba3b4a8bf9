package bundle

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Places of a bottle with a virtual machine.
const (
	// GatewayFile is the gateway's configuration, NetDir has its socket.
	GatewayFile = "config/gateway/gvproxy.yaml"
	NetDir      = "net"
	// Socket is the gateway's socket in NetDir.
	Socket = "gateway.sock"
)

// MachineMTU is that of a machine's network, which no real wire limits: the
// larger a frame, the fewer of them.
const MachineMTU = 65520

// hardware is a card's address: one of those that nobody sells, made of the
// identity, so that a bottle keeps it.
func (s *Spec) hardware(which string) string {
	sum := sha256.Sum256([]byte(which + " of " + string(s.Identity)))
	return fmt.Sprintf("52:%02x:%02x:%02x:%02x:%02x", sum[0], sum[1], sum[2], sum[3], sum[4])
}

// MachineMAC is the address of the machine's card.
func (s *Spec) MachineMAC() string { return s.hardware("machine") }

// Gateway is the configuration of the gateway of a bottle with a virtual machine:
// a forward for each port of the sidecars, at the address that the sidecar has.
func (s *Spec) Gateway() (wire.Gateway, error) {
	nets, err := compose.SplitNets(s.Block)
	if err != nil {
		return wire.Gateway{}, err
	}
	proxy, port := "pipelock", uint16(8888)
	if s.routes() {
		proxy, port = "egress", 9099
	}
	guest := nets.MachineAddress().String()
	g := wire.Gateway{
		Bottle: wire.GatewayBottle{
			Version: wire.Version, Identity: string(s.Identity), Admin: "127.0.0.1:9905",
			Audit: wire.Audit{File: auditDir + "gateway.jsonl"}, Guest: guest,
		},
		Stack: wire.GatewayStack{
			MTU: MachineMTU, Subnet: nets.Inside.String(), GatewayIP: nets.MachineGateway().String(),
			GatewayMacAddress: s.hardware("gateway"), DHCPStaticLeases: map[string]string{guest: s.MachineMAC()},
		},
		Interfaces: wire.GatewayInterfaces{Qemu: "unix:///run/bottle/net/" + Socket},
	}
	if s.Datagrams {
		g.Interfaces = wire.GatewayInterfaces{Vfkit: "unixgram:///run/bottle/net/" + Socket}
	}
	forward := func(name string, a netip.Addr, ports ...uint16) {
		g.Stack.GatewayVirtualIPs = append(g.Stack.GatewayVirtualIPs, a.String())
		for _, p := range ports {
			at := netip.AddrPortFrom(a, p).String()
			g.Bottle.Forwards = append(g.Bottle.Forwards, wire.GatewayForward{Name: name, Listen: at, Dial: at})
		}
	}
	forward(proxy, nets.ProxyAddress(), port)
	if s.git() {
		forward("git-gate", nets.GitAddress(), 9418, 9420)
	}
	if s.Bottle.Supervise {
		forward("supervise", nets.SuperviseAddress(), 9100)
	}
	names := s.names(nets, proxy)
	names["proxy.internal"] = nets.ProxyAddress().String()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		g.Stack.DNS = append(g.Stack.DNS, wire.GatewayZone{Name: name + ".", DefaultIP: names[name]})
	}
	return g, nil
}

// gateway is its file.
func (s *Spec) gateway() (File, error) {
	g, err := s.Gateway()
	if err != nil {
		return File{}, err
	}
	return config(GatewayFile, g)
}

// Guest is what the machine is told. Env is the environment that its image has.
func (s *Spec) Guest(env map[string]string) (wire.Guest, error) {
	nets, err := compose.SplitNets(s.Block)
	if err != nil {
		return wire.Guest{}, err
	}
	m, err := compose.MachineOf(s.plan(nets))
	if err != nil {
		return wire.Guest{}, err
	}
	g := wire.Guest{
		Version: wire.Version, Hostname: string(s.Identity), User: m.User, WorkDir: m.WorkDir, Hosts: m.Hosts,
		Pids: Resources(s.Bottle).Pids, Env: maps.Clone(env),
		Network: wire.GuestNetwork{
			Address: netip.PrefixFrom(nets.MachineAddress(), nets.Inside.Bits()).String(),
			Gateway: nets.MachineGateway().String(), MTU: MachineMTU,
		},
	}
	if g.Env == nil {
		g.Env = map[string]string{}
	}
	maps.Copy(g.Env, m.Env)
	for _, v := range m.Mounts {
		g.Mounts = append(g.Mounts, wire.GuestMount(v))
	}
	return g, nil
}
