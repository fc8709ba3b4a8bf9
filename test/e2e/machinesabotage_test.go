package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// fault changes one place of a source file, which must be there.
type fault struct{ file, from, to string }

// oneImageBeside names another image than the launcher's own for the gateway.
var oneImageBeside = fault{"compose/plan.go", `"bottle/gateway:dev"`, `"bottle/gateway-sabotaged:dev"`}

// brokenGuard is a gateway that lets through what it must not, in four ways.
var brokenGuard = []fault{
	{"launcher/internal/gateway/guard.go", "case src != g.Guest:", "case false:"},
	{"launcher/internal/gateway/guard.go", "if src != g.GuestMAC || dst != g.GatewayMAC", "if src == broadcastMAC || dst != g.GatewayMAC"},
	{"launcher/internal/gateway/guard.go", "case f.Protocol == protoICMP:\n", "case f.Protocol == protoICMP:\n\t\treturn Pass, Flow{}\n\tcase f.Protocol == protoICMP:\n"},
	{"launcher/internal/gateway/config.go", "	for i, f := range forwards {\n", "	for _, a := range n.served[1:] {\n\t\tat := netip.AddrPortFrom(a, 53).String()\n\t\tforwards = append(forwards, wire.GatewayForward{Name: \"more\", Listen: at, Dial: at})\n\t}\n	for i, f := range forwards {\n"},
}

// stockNetwork is gvproxy's network, as it comes, in the place of the gateway's.
var stockNetwork = []fault{
	{"launcher/internal/framing/stream.go", "func (s *Stream) Close() error {", "func (s *Stream) Conn() io.ReadWriteCloser { return s.conn }\n\nfunc (s *Stream) Close() error {"},
	{"launcher/internal/gateway/gateway.go", "	return g.link.Serve(a)\n", `	s, ok := a.(*framing.Stream)
	if !ok {
		return errors.New("no stream")
	}
	c := &types.Configuration{
		MTU: g.net.guard.MTU, Subnet: g.net.subnet.String(), GatewayIP: g.net.guard.Gateway.String(),
		GatewayMacAddress: net.HardwareAddr(g.net.guard.GatewayMAC[:]).String(),
		DHCPStaticLeases: map[string]string{g.net.guard.Guest.String(): net.HardwareAddr(g.net.guard.GuestMAC[:]).String()},
		NAT: map[string]string{"192.168.127.254": "127.0.0.1"}, GatewayVirtualIPs: []string{"192.168.127.254"},
	}
	n, err := virtualnetwork.New(c)
	if err != nil {
		return err
	}
	return n.AcceptQemu(ctx, s.Conn().(net.Conn))
`},
	{"launcher/internal/gateway/gateway.go", "	\"github.com/containers/gvisor-tap-vsock/pkg/types\"\n", "	\"github.com/containers/gvisor-tap-vsock/pkg/types\"\n	\"github.com/containers/gvisor-tap-vsock/pkg/virtualnetwork\"\n"},
}

// unconfined is a machine's init that takes nothing from the commands that it runs.
var unconfined = []fault{{"launcher/internal/guestinit/init_linux.go", "{root, enter, network, names, mask, confine}", "{root, enter, network, names}"}}

// sabotaged builds a program of the launcher's out of changed sources, of which the
// tree sees nothing.
func sabotaged(t *testing.T, dir, program string, edits ...fault) {
	t.Helper()
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	changed, replace := map[string]string{}, map[string]string{}
	for i, e := range edits {
		file := filepath.Join(tree, e.file)
		if changed[file] == "" {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			changed[file] = string(data)
		}
		if strings.Count(changed[file], e.from) != 1 {
			t.Fatalf("%s does not have %q once: the sabotage is out of date", e.file, e.from)
		}
		changed[file] = strings.Replace(changed[file], e.from, e.to, 1)
		replace[file] = filepath.Join(dir, "source", string(rune('a'+i))+".go")
	}
	_ = os.MkdirAll(filepath.Join(dir, "source"), 0o700)
	for file, text := range changed {
		if err := os.WriteFile(replace[file], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, program+".json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	from := "./" + program
	if program == "launcher" {
		from = "."
	}
	cmd := exec.Command("go", "build", "-C", filepath.Join(tree, "launcher"), "-trimpath", "-tags", "urfave_cli_no_docs", "-overlay", list, "-o", filepath.Join(dir, program), from)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s with a fault does not build: %v\n%s", program, err, out)
	}
}

// machineSabotage is a machine with faults, and the attempts that must not be held.
type machineSabotage struct {
	name           string
	gateway, guest []fault
	// by breaks a machine that runs.
	by     func(*testing.T, *bottle)
	caught []string
}

var machineSabotages = []machineSabotage{
	{
		name: "a guard that looks away, a port too many, a token, a second authority, a set-user-ID program, an audit line changed", gateway: brokenGuard, by: breakMachine,
		caught: []string{"frame-address", "frame-card", "frame-icmp", "sidecar-ports", "secrets", "trust", "setuid", "audit-chain"},
	},
	{
		name: "gvproxy in the place of the gateway", gateway: stockNetwork,
		caught: []string{"gateway-control", "frame-udp", "frame-tcp", "frame-address", "tcp-out", "udp-out", "dns-out"},
	},
	{
		name: "an init that confines nobody", guest: unconfined,
		caught: []string{"capabilities", "no-new-privileges", "raw-sockets", "packet-sockets", "write-kernel", "mounting"},
	},
}

// breakMachine breaks what can be broken from within, and the gateway's audit.
func breakMachine(t *testing.T, b *bottle) {
	for script, stdin := range map[string]string{
		"cat >/root/leak": the.token,
		"cat >/usr/local/share/ca-certificates/other.crt":                 string(testkit.NewCA(t, "another authority").PEM()),
		"mkdir -p /opt && cp /bin/true /opt/true && chmod 4755 /opt/true": "",
	} {
		if r := b.exec(t, "root", stdin, "sh", "-c", script); r.Status != 0 {
			t.Fatal(r)
		}
	}
	file := filepath.Join(b.dir, "audit", "gateway", "gateway.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), `"event":"attach"`, `"event":"detach"`, 1)), 0); err != nil {
		t.Fatal(err)
	}
}

// TestMachineVerifyCatchesSabotage breaks machines, and looks whether the attempts that
// are meant for what is broken see it. That they are held by a whole one shows
// TestMachineVerify.
func TestMachineVerifyCatchesSabotage(t *testing.T) {
	w := needMachines(t)
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no Go to build what is broken with")
	}
	dir := t.TempDir()
	sabotaged(t, dir, "launcher", oneImageBeside)
	t.Cleanup(func() { _, _ = docker("rmi", "-f", "bottle/gateway-sabotaged:dev") })
	for _, s := range machineSabotages {
		t.Run(s.name, func(t *testing.T) {
			b := w.brokenMachine(t, dir, s)
			if s.by != nil {
				s.by(t, b)
			}
			var args []string
			for _, id := range s.caught {
				args = append(args, "--only", id)
			}
			list, r := w.verdicts(t, filepath.Dir(filepath.Dir(b.dir)), append(args, b.id)...)
			if r.Status != 1 {
				t.Errorf("verify ended with %s", r)
			}
			for _, id := range s.caught {
				if !slices.ContainsFunc(list, func(v verdict) bool { return v.ID == id && v.Result != "held" }) {
					t.Errorf("%s was held: %+v", id, list)
				}
			}
			t.Log(strings.Join(leaky(list), "\n"))
		})
	}
}

// brokenMachine starts a machine with faults. Dir has the launcher for it.
func (w *world) brokenMachine(t *testing.T, dir string, s machineSabotage) *bottle {
	t.Helper()
	own := t.TempDir()
	image := "bottle/gateway:dev"
	var env []string
	if s.gateway != nil {
		image = "bottle/gateway-sabotaged:dev"
		sabotaged(t, own, "gateway", s.gateway...)
		mustDocker(t, "build", "-q", "-t", image, "-f", "../../images/gateway/Dockerfile", own)
	} else {
		mustDocker(t, "tag", image, "bottle/gateway-sabotaged:dev")
	}
	kit := os.Getenv("BOTTLE_GUEST")
	if kit == "" {
		kit = filepath.Join(w.bin, "guest")
	}
	if s.guest != nil {
		sabotaged(t, own, "guestinit", s.guest...)
		for _, name := range []string{"vmlinuz", "modules"} {
			if out, err := exec.Command("cp", "-r", filepath.Join(kit, name), own).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		kit = own
	}
	env = append(env, "BOTTLE_GUEST="+kit)
	o := w.operator(w.machineHome(t), env...)
	o.Bin = dir
	return w.mustStartAs(t, o, "machinist", "--backend", "smolmachines", "--discard")
}
