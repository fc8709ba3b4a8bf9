package gateway

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/wire"
)

// parse reads a configuration as the daemon does.
func parse(t testing.TB, c *wire.Gateway) (*wire.Doc, *wire.Gateway) {
	t.Helper()
	data, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := wire.Parse("gvproxy.yaml", data, 1)
	if err != nil {
		t.Fatal(err)
	}
	var out wire.Gateway
	if err := doc.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return doc, &out
}

func understood(t testing.TB) *network {
	t.Helper()
	doc, c := parse(t, config("127.0.0.1:1", 1500))
	n, err := understand(doc, c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFaultsAreNamed(t *testing.T) {
	for want, spoil := range map[string]func(*wire.Gateway){
		"stack.subnet":              func(c *wire.Gateway) { c.Stack.Subnet = "10.213.1.1/28" },
		"stack.mtu":                 func(c *wire.Gateway) { c.Stack.MTU = 100 },
		"stack.gatewayIP":           func(c *wire.Gateway) { c.Stack.GatewayIP = "10.213.2.1" },
		"stack.gatewayIP:":          func(c *wire.Gateway) { c.Stack.GatewayIP = "10.213.1.15" },
		"stack.gatewayMacAddress":   func(c *wire.Gateway) { c.Stack.GatewayMacAddress = "5a:94:ef:e4:0c:ee" },
		"hardware address":          func(c *wire.Gateway) { c.Stack.GatewayMacAddress = "ff:ff:ff:ff:ff:ff" },
		"gatewayVirtualIPs[0]":      func(c *wire.Gateway) { c.Stack.GatewayVirtualIPs[0] = "127.0.0.1" },
		"is an address of the":      func(c *wire.Gateway) { c.Bottle.Guest = "10.213.1.2" },
		"one entry":                 func(c *wire.Gateway) { c.Stack.DHCPStaticLeases["10.213.1.4"] = "5a:94:ef:e4:0c:ef" },
		"stack.dns[0].name":         func(c *wire.Gateway) { c.Stack.DNS[0].Name = "egress" },
		"stack.dns[0].defaultIP":    func(c *wire.Gateway) { c.Stack.DNS[0].DefaultIP = "203.0.113.1" },
		"bottle.forwards[0].listen": func(c *wire.Gateway) { c.Bottle.Forwards[0].Listen = "10.213.1.9:80" },
		"bottle.forwards[0].dial":   func(c *wire.Gateway) { c.Bottle.Forwards[0].Dial = "egress:80" },
		"is taken already":          func(c *wire.Gateway) { c.Bottle.Forwards[0].Listen = "10.213.1.1:53" },
		"it names 2":                func(c *wire.Gateway) { c.Interfaces.Tap = "tap0" },
		"it names 0":                func(c *wire.Gateway) { c.Interfaces.FD = 0 },
		"interfaces.qemu":           func(c *wire.Gateway) { c.Interfaces = wire.GatewayInterfaces{Qemu: "tcp://127.0.0.1:1"} },
		"interfaces.vfkit":          func(c *wire.Gateway) { c.Interfaces = wire.GatewayInterfaces{Vfkit: "unixgram://a"} },
	} {
		c := config("127.0.0.1:1", 1500)
		spoil(c)
		doc, c := parse(t, c)
		if err := validate(doc, c); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "gvproxy.yaml:") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What gvproxy can do and a bottle must not is not even a key.
func TestDoorsOfGvproxyAreUnknown(t *testing.T) {
	for _, key := range []string{"nat: {10.213.1.1: 127.0.0.1}", "forwards: {}", "ec2MetadataAccess: true", "capture-file: /tmp/x"} {
		doc, err := wire.Parse("gvproxy.yaml", []byte("stack:\n  "+key+"\n"), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Decode(&wire.Gateway{}); err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestCheck(t *testing.T) {
	c := config("127.0.0.1:1", 1500)
	for url, want := range map[string]bool{"tcp://10.213.1.2:9099": true, "10.213.1.2:9099": true, "tcp://10.213.1.2:22": false, "tcp://203.0.113.1:443": false} {
		if d, err := check(c, "TCP", url); err != nil || d.OK() != want {
			t.Errorf("%s: %+v, %v", url, d, err)
		}
	}
	if _, err := check(c, "GET", "https://example.com/"); err == nil {
		t.Error("a URL is understood")
	}
}
