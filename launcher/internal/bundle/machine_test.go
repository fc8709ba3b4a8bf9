package bundle

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/launcher/internal/gateway"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func machine(t *testing.T) *Spec {
	s := spec(t, withRoutes+`
supervise: true
git: [{name: app, upstream: "https://git.example.com/app.git"}]`)
	s.Machine = true
	s.Env = map[string]string{"TZ": "UTC"}
	return s
}

// The file is one of gvproxy's, by gvproxy's own types, and one that the gateway
// takes.
func TestGatewayGolden(t *testing.T) {
	s := machine(t)
	dir := write(t, s)
	file := filepath.Join(dir, GatewayFile)
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "gvproxy.golden.yaml")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what is rendered (-update after a look): %v\n%s", golden, err, got)
	}
	var out bytes.Buffer
	if err := gateway.Run(context.Background(), []string{"validate", file}, nil, daemon.Stdio{Out: &out, Err: &out}); err != nil {
		t.Errorf("the gateway: %v %s", err, out.String())
	}
	var theirs struct {
		Bottle     any                 `yaml:"bottle"`
		Stack      types.Configuration `yaml:"stack"`
		Interfaces struct {
			Qemu string `yaml:"qemu"`
		} `yaml:"interfaces"`
	}
	if err := yaml.Load(got, &theirs, yaml.WithKnownFields()); err != nil {
		t.Fatalf("gvproxy's types: %v", err)
	}
	if c := theirs.Stack; c.Subnet != "10.213.1.0/28" || c.DHCPStaticLeases["10.213.1.3"] != s.MachineMAC() || len(c.DNS) != 4 || c.DNS[0].DefaultIP == nil || len(c.NAT) > 0 {
		t.Errorf("%+v", c)
	}
}

func TestGuest(t *testing.T) {
	s := machine(t)
	g, err := s.Guest(map[string]string{"PATH": "/bin", "TZ": "CET"})
	if err != nil {
		t.Fatal(err)
	}
	if g.Env["PATH"] != "/bin" || g.Env["TZ"] != "UTC" || g.Env["HTTPS_PROXY"] != "http://egress:9099" || g.Network.Address != "10.213.1.3/28" || g.Hosts["egress"] != "10.213.1.2" {
		t.Errorf("%+v", g)
	}
	dir := write(t, s)
	for _, m := range g.Mounts { // what the machine is shown is there
		if _, err := os.Stat(filepath.Join(dir, m.Source)); err != nil {
			t.Error(err)
		}
	}
	other := machine(t)
	other.Identity = "demo-zzzzz"
	if s.MachineMAC() == other.MachineMAC() || s.MachineMAC() != machine(t).MachineMAC() {
		t.Error("the card's address is not the bottle's own")
	}
}

// vfkit and krunkit send datagrams.
func TestGatewayOfDatagrams(t *testing.T) {
	s := machine(t)
	s.Datagrams = true
	g, err := s.Gateway()
	if err != nil || g.Interfaces.Vfkit != "unixgram:///run/bottle/net/gateway.sock" || g.Interfaces.Qemu != "" {
		t.Errorf("%+v, %v", g.Interfaces, err)
	}
}

func TestOneOfNoRoutes(t *testing.T) {
	s := spec(t, "pipelock: {allow: [a.example]}")
	s.Machine = true
	g, err := s.Gateway()
	if err != nil || len(g.Bottle.Forwards) != 1 || g.Bottle.Forwards[0].Listen != "10.213.1.2:8888" {
		t.Errorf("%+v, %v", g, err)
	}
}

// What runs is what was looked at, the gateway's image among it.
func TestMachineImagesArePinned(t *testing.T) {
	s := machine(t)
	s.ImageIDs = map[string]string{}
	for i, service := range []string{"agent", "egress", "pipelock", "git-gate", "supervise", "gateway"} {
		s.ImageIDs[service] = "sha256:" + strings.Repeat(string(rune('a'+i)), 64)
	}
	data, err := os.ReadFile(filepath.Join(write(t, s), "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), s.ImageIDs["gateway"]) || strings.Contains(string(data), s.ImageIDs["agent"]) {
		t.Error("compose.yaml does not name the gateway's image by its id, or still has the agent's")
	}
}
