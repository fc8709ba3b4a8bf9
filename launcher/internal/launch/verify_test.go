package launch

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// options are security options as an engine prints them.
func options(o ...string) json.RawMessage {
	data, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return data
}

// standing is a bottle as a good engine reports it.
func standing() ([]engine.Container, []engine.Network, []engine.Volume) {
	container := func(component, user string, readOnly bool, nets ...string) engine.Container {
		var c engine.Container
		c.Name = component
		c.Config.User = user
		c.Config.Labels = map[string]string{"bottle.component": component}
		h := &c.HostConfig
		h.CapDrop, h.CapAdd, h.SecurityOpt = json.RawMessage(`["ALL"]`), json.RawMessage("null"), options("no-new-privileges:true", compose.SeccompOption())
		h.ReadonlyRootfs = readOnly
		h.Sysctls = map[string]string{"net.ipv6.conf.all.disable_ipv6": "1"}
		pids := int64(9)
		h.PidsLimit, h.Memory = &pids, 9
		c.NetworkSettings.Networks = map[string]engine.Attachment{}
		for _, n := range nets {
			c.NetworkSettings.Networks["project_"+n] = engine.Attachment{NetworkID: "id of " + n}
		}
		c.Mounts = []engine.Mount{{Type: "bind", Source: "/state/demo/config"}}
		return c
	}
	network := func(name string, internal bool) engine.Network {
		n := engine.Network{ID: "id of " + name, Name: "project_" + name, Driver: "bridge", Internal: internal,
			Labels: map[string]string{"bottle.component": name}, Options: map[string]string{}}
		if internal {
			n.Options[inhibit] = "true"
		}
		return n
	}
	hop := engine.Volume{Name: "bottle-demo_hop", Driver: "local", Options: compose.HopOptions("5:5"), Labels: map[string]string{"bottle.component": "hop"}}
	cs := []engine.Container{
		container("agent", "agent", false, "inside"),
		container("egressd", "5:5", true, "inside"),
		container("pipelockd", "5:5", true, "outside"),
	}
	cs[1].Mounts = append(cs[1].Mounts, engine.Mount{Type: "volume", Name: hop.Name, Destination: compose.HopDir})
	cs[2].Mounts = append(cs[2].Mounts, engine.Mount{Type: "volume", Name: hop.Name, Destination: compose.HopDir, RW: true})
	return cs, []engine.Network{network("inside", true), network("outside", false)}, []engine.Volume{hop}
}

func TestCheck(t *testing.T) {
	type cs = []engine.Container
	type ns = []engine.Network
	for name, c := range map[string]struct {
		change func(cs, ns) (cs, ns)
		want   string
	}{
		"good":          {func(c cs, n ns) (cs, ns) { return c, n }, ""},
		"not internal":  {func(c cs, n ns) (cs, ns) { n[0].Internal = false; return c, n }, "network inside is not internal"},
		"host address":  {func(c cs, n ns) (cs, ns) { delete(n[0].Options, inhibit); return c, n }, "of the network inside"},
		"ipv6 network":  {func(c cs, n ns) (cs, ns) { n[1].EnableIPv6 = true; return c, n }, "network outside has IPv6"},
		"no network":    {func(c cs, n ns) (cs, ns) { return c, n[:1] }, "no network outside"},
		"stray network": {func(c cs, n ns) (cs, ns) { return c, append(n, engine.Network{Name: "x"}) }, "x is none of the bottle's"},
		"no sidecar":    {func(c cs, n ns) (cs, ns) { return c[:2], n }, "no container pipelockd"},
		"stray":         {func(c cs, n ns) (cs, ns) { return append(c, engine.Container{Name: "x"}), n }, "x is none of the bottle's"},
		"caps kept":     {func(c cs, n ns) (cs, ns) { c[0].HostConfig.CapDrop = json.RawMessage("null"); return c, n }, "agent kept capabilities"},
		"caps added":    {func(c cs, n ns) (cs, ns) { c[1].HostConfig.CapAdd = json.RawMessage(`["NET_RAW"]`); return c, n }, "egressd kept capabilities"},
		"privileged":    {func(c cs, n ns) (cs, ns) { c[0].HostConfig.Privileged = true; return c, n }, "agent kept capabilities"},
		"privileges":    {func(c cs, n ns) (cs, ns) { c[0].HostConfig.SecurityOpt = nil; return c, n }, "may gain privileges"},
		"no seccomp": {func(c cs, n ns) (cs, ns) {
			c[0].HostConfig.SecurityOpt = options("no-new-privileges:true")
			return c, n
		}, "agent is without the bottle's seccomp profile"},
		"unconfined": {func(c cs, n ns) (cs, ns) {
			c[1].HostConfig.SecurityOpt = options("no-new-privileges:true", "seccomp=unconfined")
			return c, n
		}, "egressd is without the bottle's seccomp profile"},
		"writable": {func(c cs, n ns) (cs, ns) { c[2].HostConfig.ReadonlyRootfs = false; return c, n }, "system of pipelockd is writable"},
		"ipv6":     {func(c cs, n ns) (cs, ns) { c[0].HostConfig.Sysctls = nil; return c, n }, "agent has IPv6"},
		"no limit": {func(c cs, n ns) (cs, ns) { c[0].HostConfig.PidsLimit = nil; return c, n }, "no limit"},
		"devices": {func(c cs, n ns) (cs, ns) {
			c[0].HostConfig.Devices = json.RawMessage(`[{"PathOnHost":"/dev/kvm"}]`)
			return c, n
		}, "devices"},
		"host namespace": {func(c cs, n ns) (cs, ns) { c[0].HostConfig.PidMode = "host"; return c, n }, "shares a namespace"},
		"root":           {func(c cs, n ns) (cs, ns) { c[1].Config.User = "0:0"; return c, n }, "egressd runs as root"},
		"port": {func(c cs, n ns) (cs, ns) {
			c[1].NetworkSettings.Ports = map[string][]engine.Binding{"53/udp": {{HostPort: "53"}}}
			return c, n
		}, "publishes"},
		"mount":        {func(c cs, n ns) (cs, ns) { c[0].Mounts[0].Source = "/var/run/docker.sock"; return c, n }, "agent sees /var/run/docker.sock"},
		"mount beside": {func(c cs, n ns) (cs, ns) { c[0].Mounts[0].Source = "/state/demo-other"; return c, n }, "agent sees"},
		"hop for all":  {func(c cs, n ns) (cs, ns) { c[0].Mounts = c[1].Mounts; return c, n }, "agent sees the volume bottle-demo_hop"},
		"a volume":     {func(c cs, n ns) (cs, ns) { c[2].Mounts[1].Name = "mine"; return c, n }, "pipelockd does not see the socket"},
		"a named one":  {func(c cs, n ns) (cs, ns) { c[0].Mounts[0] = engine.Mount{Type: "volume", Name: "mine"}; return c, n }, "agent sees the volume mine"},
		"image's own": {func(c cs, n ns) (cs, ns) {
			c[0].Mounts[0] = engine.Mount{Type: "volume", Name: strings.Repeat("a1", 32)}
			return c, n
		}, ""},
		"queue": {func(c cs, n ns) (cs, ns) { c[0].Mounts[0].Source = "/state/demo/queue/decisions"; return c, n }, "of the queue as it must not"},
		"agent outside": {func(c cs, n ns) (cs, ns) {
			c[0].NetworkSettings.Networks["project_outside"] = engine.Attachment{NetworkID: "id of outside"}
			return c, n
		}, `agent is on the networks ["inside" "outside"]`},
		"foreign network": {func(c cs, n ns) (cs, ns) {
			c[1].NetworkSettings.Networks["bridge"] = engine.Attachment{NetworkID: "another"}
			return c, n
		}, `egressd is on the networks ["" "inside"]`},
	} {
		t.Run(name, func(t *testing.T) {
			cs, ns, vs := standing()
			cs, ns = c.change(cs, ns)
			err := expect("demo", parts{routes: true}, "/state/demo").check(cs, ns, vs)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want a complaint with %q, got %v", c.want, err)
			}
		})
	}
}

func TestLeftoverString(t *testing.T) {
	l := Leftover{Identity: "demo-abcde", Containers: 3, Networks: 2, Tokens: true, State: "orphaned"}
	if got := l.String(); got != "demo-abcde: 3 containers, 2 networks, token files, state (orphaned)" {
		t.Error(got)
	}
}

func TestCheckHop(t *testing.T) {
	type cs = []engine.Container
	for name, c := range map[string]struct {
		change func(cs, []engine.Volume) []engine.Volume
		want   string
	}{
		"good": {func(_ cs, v []engine.Volume) []engine.Volume { return v }, ""},
		"a directory": {func(_ cs, v []engine.Volume) []engine.Volume {
			v[0].Options = map[string]string{"type": "none", "o": "bind", "device": "/etc"}
			return v
		}, "not in memory"},
		"bound":          {func(_ cs, v []engine.Volume) []engine.Volume { v[0].Options["o"] += ",bind"; return v }, "not in memory"},
		"on the disk":    {func(_ cs, v []engine.Volume) []engine.Volume { v[0].Options = nil; return v }, "not in memory"},
		"another driver": {func(_ cs, v []engine.Volume) []engine.Volume { v[0].Driver = "nfs"; return v }, "not in memory"},
		"a stray one":    {func(_ cs, v []engine.Volume) []engine.Volume { return append(v, engine.Volume{Name: "x"}) }, "x is none of the bottle's"},
		"none":           {func(_ cs, v []engine.Volume) []engine.Volume { return nil }, "there is no volume bottle-demo_hop"},
		"another's": {func(c cs, v []engine.Volume) []engine.Volume {
			c[1].Mounts[1].Name, c[2].Mounts[1].Name = "evil_hop", "evil_hop"
			return v
		}, "does not see the socket"},
		"elsewhere":   {func(c cs, v []engine.Volume) []engine.Volume { c[2].Mounts[1].Destination = "/etc/bottle"; return v }, "pipelockd does not see"},
		"to write":    {func(c cs, v []engine.Volume) []engine.Volume { c[1].Mounts[1].RW = true; return v }, "egressd does not see"},
		"not mounted": {func(c cs, v []engine.Volume) []engine.Volume { c[1].Mounts = c[1].Mounts[:1]; return v }, "egressd does not see"},
	} {
		cs, ns, vs := standing()
		err := expect("demo", parts{routes: true}, "/state/demo").check(cs, ns, c.change(cs, vs))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
}

// A bottle without routes has one proxy, and so no volume.
func TestCheckNoHop(t *testing.T) {
	cs, ns, vs := standing()
	delete(cs[2].NetworkSettings.Networks, "project_outside")
	for _, n := range []string{"inside", "outside"} {
		cs[2].NetworkSettings.Networks["project_"+n] = engine.Attachment{NetworkID: "id of " + n}
	}
	cs[2].Mounts = cs[2].Mounts[:1]
	without := []engine.Container{cs[0], cs[2]}
	if err := expect("demo", parts{}, "/state/demo").check(without, ns, nil); err != nil {
		t.Error(err)
	}
	if err := expect("demo", parts{}, "/state/demo").check(without, ns, vs); err == nil {
		t.Error("a volume that nobody needs was taken")
	}
}
