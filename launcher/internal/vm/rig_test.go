package vm

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/gateway"
)

// streamGateway is the gateway of the smolvm driver.
func streamGateway(t *testing.T, dir string) (socket, trail string) {
	socket = filepath.Join(dir, "gateway.sock")
	return socket, gatewayOf(t, dir, wire.GatewayInterfaces{Qemu: "unix://" + socket})
}

// datagramGateway is the gateway of the unixgram driver; its socket is there.
func datagramGateway(t *testing.T, dir string) (socket string) {
	socket = filepath.Join(dir, "gateway.sock")
	gatewayOf(t, dir, wire.GatewayInterfaces{Vfkit: "unixgram://" + socket})
	for range 200 {
		if _, err := os.Stat(socket); err == nil {
			return socket
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the gateway does not come up")
	return ""
}

// gatewayOf is a gateway with one sidecar behind it, which says who it is. It
// returns the file of its audit.
func gatewayOf(t *testing.T, dir string, at wire.GatewayInterfaces) (trail string) {
	t.Helper()
	sidecar := testkit.Serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "the sidecar\n") })
	trail = filepath.Join(dir, "gateway.jsonl")
	data, err := yaml.Marshal(wire.Gateway{
		Bottle: wire.GatewayBottle{
			Version: wire.Version, Identity: "demo-abcde", Admin: testkit.FreeAddress(t), Audit: wire.Audit{File: trail}, Guest: "10.213.1.3",
			Forwards: []wire.GatewayForward{{Name: "egress", Listen: "10.213.1.2:9099", Dial: sidecar}},
		},
		Stack: wire.GatewayStack{
			MTU: 65520, Subnet: "10.213.1.0/28", GatewayIP: "10.213.1.1", GatewayMacAddress: "52:00:00:00:00:01", GatewayVirtualIPs: []string{"10.213.1.2"},
			DHCPStaticLeases: map[string]string{"10.213.1.3": "52:00:00:00:00:03"}, DNS: []wire.GatewayZone{{Name: "egress.", DefaultIP: "10.213.1.2"}},
		},
		Interfaces: at,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gvproxy.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- gateway.Run(ctx, []string{"--config", file}, nil, daemon.Stdio{Out: io.Discard, Err: io.Discard})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return trail
}
