package vm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// testParts are a machine without a network behind its card, or the reason why
// there can be none here.
func testParts(t *testing.T) Parts {
	t.Helper()
	kit, err := FindKit(func(string) string { return os.Getenv(KitVariable) })
	if err != nil {
		t.Skip(err)
	}
	if _, err := tool(qemu); err != nil {
		t.Skip(err)
	}
	id, err := exec.Command("docker", "image", "inspect", "--format", "{{.Id}}", "bottle/agent-shell:dev").Output()
	if err != nil {
		t.Skip("the image bottle/agent-shell:dev is missing; run `make images`")
	}
	image, err := Image(t.Context(), filepath.Join(os.TempDir(), "bottle-test-images"), string(id), func(ctx context.Context, w io.Writer) error {
		return export(ctx, w)
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"ca/agent/ca-certificates.crt": "CERT\n", "config/prompt.md": "Hi.\n"} {
		_ = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := filepath.Join(dir, "machine")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	console, err := os.Create(filepath.Join(t.TempDir(), "console.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			data, _ := os.ReadFile(console.Name())
			t.Logf("the console:\n%s", data)
		}
	})
	return Parts{
		Config: Config{Name: "demo-abcde", CPUs: 2, Memory: 1 << 30, MAC: "5a:94:ef:e4:0c:ee", MTU: 65520, Verbose: true},
		Kit:    kit, Dir: dir, Run: run, Disk: func(context.Context) (string, error) { return image, nil }, Wire: wireTo(t), Console: console, UID: 65532, GID: 65532,
		Layer: Layer{filepath.Join(dir, "disk")},
		Guest: wire.Guest{
			Version: 1, Layer: wire.GuestLayer{Image: "a"}, Hostname: "demo-abcde", User: "agent", WorkDir: "/home/agent/workspace", Pids: 512,
			Network: wire.GuestNetwork{Address: "10.213.1.3/28", Gateway: "10.213.1.1", MTU: 65520},
			Env:     map[string]string{"GREETING": "hello $HOME"}, Hosts: map[string]string{"egress": "10.213.1.2"},
			Mounts: []wire.GuestMount{{Source: "ca/agent", Target: "/etc/ssl/certs"}, {Source: "config/prompt.md", Target: "/etc/bottle/prompt.md"}},
		},
	}
}

// wireTo is a machine's end of a network that nobody serves.
func wireTo(t *testing.T) *os.File {
	t.Helper()
	a, b, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return b
}

func export(ctx context.Context, w io.Writer) error {
	id, err := exec.Command("docker", "create", "bottle/agent-shell:dev").Output()
	if err != nil {
		return err
	}
	name := strings.TrimSpace(string(id))
	defer exec.Command("docker", "rm", name).Run()
	cmd := exec.CommandContext(ctx, "docker", "export", name)
	cmd.Stdout = w
	return cmd.Run()
}

func TestMachine(t *testing.T) {
	p := testParts(t)
	driver := &qemuDriver{}
	runsOn, err := driver.Check(t.Context())
	if err != nil {
		t.Skip(err)
	}
	began := time.Now()
	m, err := Start(t.Context(), driver, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %s on %s", time.Since(began), runsOn)
	defer m.Kill()
	shell := shellIn(t, m)
	for _, tc := range []struct{ user, script, input, want string }{
		{"", "id -un; pwd; echo $GREETING; hostname", "", "agent\n/home/agent/workspace\nhello $HOME\ndemo-abcde\n"},
		{"root", "id -u; grep Cap /proc/self/status | sort -u -k2; grep NoNew /proc/self/status", "", "0\nCapInh:\t0000000000000000\nNoNewPrivs:\t1\n"},
		{"", "cat; echo done", strings.Repeat("0123456789", 50000), strings.Repeat("0123456789", 50000) + "done\n"},
		{"", "cat /etc/ssl/certs/ca-certificates.crt /etc/bottle/prompt.md; ls /etc/ssl/certs", "", "CERT\nHi.\nca-certificates.crt\n"},
		{"", "(echo x >/etc/ssl/certs/a) 2>/dev/null; echo $?; echo y >~/workspace/b && cat ~/workspace/b", "", "2\ny\n"},
		{"", "cat /proc/net/if_inet6; cat /sys/class/net/e*/mtu; grep -c : /proc/net/dev", "", "65520\n2\n"},
		{"root", "mount -t tmpfs x /mnt 2>&1; mknod /tmp/x b 1 1 2>&1; echo over", "", "over\n"},
		{"", "getent hosts egress; cat /etc/resolv.conf", "", "egress\nnameserver 10.213.1.1\nsearch .\n"},
		{"", "date +%Y", "", time.Now().Format("2006") + "\n"},
	} {
		got, err := shell(tc.user, tc.script, tc.input)
		if err != nil || !strings.HasSuffix(got, tc.want) {
			t.Errorf("%s: %v\n%.600s", tc.script, err, got)
		}
	}
	var status engine.ExitStatus
	if _, err := shell("", "exit 7", ""); !errors.As(err, &status) || status != 7 {
		t.Errorf("exit 7: %v", err)
	}
	if _, err := shell("", "kill -9 $$", ""); !errors.As(err, &status) || status != 137 {
		t.Errorf("kill -9: %v", err)
	}
	if _, err := shell("nobody-there", "true", ""); err == nil || errors.As(err, &status) {
		t.Errorf("a user that is not there: %v", err)
	}
	otherLauncher(t, p)
	monitorIsConfined(t, m)
	hungUp(t, m, shell)
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
	if syscall.Kill(m.PID(), 0) == nil {
		t.Error("the monitor still runs")
	}
	if _, err := os.Stat(p.Run); !os.IsNotExist(err) {
		t.Errorf("the machine's files are there: %v", err)
	}
}

// shellIn runs scripts in a machine.
func shellIn(t *testing.T, m *Machine) func(user, script, input string) (string, error) {
	return func(user, script, input string) (string, error) {
		t.Helper()
		c, err := m.Open()
		if err != nil {
			t.Fatal(err)
		}
		var out, complaint bytes.Buffer
		err = Exec(t.Context(), c, user, []string{"sh", "-c", script}, engine.Streams{In: strings.NewReader(input), Out: &out, Err: &complaint})
		return out.String() + complaint.String(), err
	}
}

// otherLauncher runs a command through the socket.
func otherLauncher(t *testing.T, p Parts) {
	c, err := net.Dial("unix", filepath.Join(p.Run, Socket))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Exec(t.Context(), c, "root", []string{"id", "-un"}, engine.Streams{Out: &out, Err: &out}); err != nil || out.String() != "root\n" {
		t.Errorf("through the socket: %q, %v", out.String(), err)
	}
}

// hungUp ends a command whose launcher goes away.
func hungUp(t *testing.T, m *Machine, shell func(user, script, input string) (string, error)) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Second, cancel)
	if err := Exec(ctx, c, "", []string{"sleep", "4321"}, engine.Streams{Out: io.Discard, Err: io.Discard}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for range 50 {
		if out, _ := shell("", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 's[l]eep 4321 '", ""); strings.HasPrefix(out, "0") {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("the command goes on without anybody")
}

// monitorIsConfined looks at the monitor from outside.
func monitorIsConfined(t *testing.T, m *Machine) {
	if os.Getuid() != 0 {
		return
	}
	proc := "/proc/" + strconv.Itoa(m.PID())
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nUid:\t65532\t65532\t65532\t65532\n", "\nCapEff:\t0000000000000000\n", "\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the monitor's status lacks %q", want)
		}
	}
	mine, _ := os.Readlink("/proc/self/ns/net")
	if its, err := os.Readlink(proc + "/ns/net"); err != nil || its == mine {
		t.Errorf("the monitor is in the network namespace %s (%v)", its, err)
	}
	dev, err := os.ReadFile(proc + "/net/dev")
	if err != nil || strings.Count(string(dev), ":") != 1 {
		t.Errorf("the monitor has network devices: %s (%v)", dev, err)
	}
}
