package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/smolfile"
)

// builtInit is the guest's init, made once.
var builtInit = sync.OnceValues(func() (file string, err error) {
	if builtDir, err = os.MkdirTemp("", "guestinit-"); err != nil {
		return "", err
	}
	file = filepath.Join(builtDir, "guestinit")
	build := exec.Command("go", "build", "-o", file, "../../guestinit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
})

// fakeSmolvm puts the program in smolvm's place into a directory of its own, with
// files that change its manners.
func fakeSmolvm(t *testing.T, files map[string]string) (*smolvmDriver, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "smolvm-") // others can run what is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/fake/smolvm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "smolvm"), script, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"PATH": "relative:" + dir, "SMOLVM_AGENT_ROOTFS": dir, "SECRET": "hunter2"}
	return &smolvmDriver{getenv: func(name string) string { return env[name] }, kvm: "/dev/null", tun: "/dev/null"}, dir
}

func TestSmolvmCheck(t *testing.T) {
	d, _ := fakeSmolvm(t, nil)
	if on, err := d.Check(t.Context()); err != nil || on != "1.23.0, kvm" {
		t.Errorf("%q, %v", on, err)
	}
	for want, files := range map[string]map[string]string{
		"is version 0.9.1, and its command line is known from 1.14.0 to before 2.0.0": {"version": "smolvm 0.9.1\n"},
		"is version 2.0.0, and its":                                 {"version": "smolvm v2.0.0\n"},
		"which is no version of smolvm":                             {"version": "smol 1\n"},
		"does not know --net-backend and --dns and --expose-socket": {"help": "--name --image, --smolfile=X\n"},
	} {
		d, _ := fakeSmolvm(t, files)
		var p *engine.Problem
		if _, err := d.Check(t.Context()); !errors.As(err, &p) || !strings.Contains(err.Error(), want) || p.Remedy == "" {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	d, _ = fakeSmolvm(t, nil)
	d.kvm = "/dev/no-kvm"
	if _, err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "/dev/no-kvm does not open (no such file or directory); turn virtualisation on") {
		t.Error(err)
	}
	d.kvm, d.tun = "/dev/null", "/dev/net/no-tun"
	if _, err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "/dev/net/no-tun does not open (no such file or directory); load the module tun") {
		t.Error(err)
	}
	d = &smolvmDriver{getenv: func(string) string { return "" }, kvm: "/dev/null", tun: "/dev/null"}
	if _, err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "smolvm is not in the PATH; install smolvm 1.14.0 or newer") {
		t.Error(err)
	}
}

// smolParts are a machine for smolvm, on a gateway that carries.
func smolParts(t *testing.T, init string) (Parts, *bytes.Buffer, string) {
	t.Helper()
	dir := t.TempDir()
	socket, trail := streamGateway(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "ca/agent"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca/agent/ca-certificates.crt"), []byte("CERT\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "state", strings.Repeat("long", 30), "machine")
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	smol, err := smolfile.Marshal(smolfile.File{
		Entrypoint: []string{"/bottle/guestinit"}, Cmd: []string{"service"}, CPUs: 2, Memory: 1024, Net: true, Storage: 20, Overlay: 2,
		Volumes: []string{"./share:/bottle:ro"}, Network: &smolfile.Network{AllowCIDRs: []string{"10.213.1.2/32"}},
		Restart: &smolfile.Restart{Policy: "never"}, Auth: &smolfile.Auth{},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	var c net.Conn
	for range 200 {
		if c, err = Dial(t.Context(), socket); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	far, err := c.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	var console bytes.Buffer
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the console:\n%s", console.String())
		}
	})
	return Parts{
		Config: Config{Name: "demo-abcde", CPUs: 2, Memory: 1 << 30, MAC: "52:00:00:00:00:03", MTU: 65520},
		Kit:    &Kit{Init: init}, Dir: dir, Run: run, Wire: far, Console: &console, Smolfile: smol,
		Archive: func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "an image"); return err },
		Guest: wire.Guest{
			Version: 1, Hostname: "demo-abcde", User: "agent", WorkDir: "/home/agent/workspace", Pids: 512,
			Network: wire.GuestNetwork{Address: "10.213.1.3/28", Gateway: "10.213.1.1", MTU: 65520},
			Env:     map[string]string{"GREETING": "hello"}, Hosts: map[string]string{"egress": "10.213.1.2"},
			Mounts: []wire.GuestMount{{Source: "ca/agent", Target: "/etc/ssl/certs"}},
		},
	}, &console, trail
}

// realInit is the guest's init, for tests whose machine runs.
func realInit(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the machine of smolvm's stand-in needs root")
	}
	init, err := builtInit()
	if err != nil {
		t.Fatal(err)
	}
	return init
}

// noInit is a file in its place, for tests whose machine does not run. Where the
// test is not root, the holder needs a user namespace.
func noInit(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("true")
	if cmd.SysProcAttr = holding(); cmd.Run() != nil {
		t.Skip("there are no namespaces for this user here")
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this user cannot make a link here: ", err)
	}
	_ = f.Close()
	return "doc.go"
}

// TestSmolvm has the guest's init for a machine: the holder, its network, the
// gateway and the commands are real, smolvm is not.
func TestSmolvm(t *testing.T) {
	p, _, trail := smolParts(t, realInit(t))
	d, bin := fakeSmolvm(t, nil)
	if _, err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := Start(t.Context(), d, p)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Kill()
	for _, tc := range []struct{ user, script, want string }{
		{"", "id -un; pwd; echo $GREETING; hostname", "agent\n/home/agent/workspace\nhello\ndemo-abcde\n"},
		{"root", "id -u; grep -c 'CapEff.*0000000000000000' /proc/self/status", "0\n1\n"},
		{"", "ls /etc/ssl/certs; cat /etc/ssl/certs/ca-certificates.crt; (echo x >/etc/ssl/certs/a) 2>/dev/null || echo no", "ca-certificates.crt\nCERT\nno\n"},
		{"", "cat </dev/tcp/egress/9099", "the sidecar\n"},
		{"", "(cat </dev/tcp/10.213.1.2/22) 2>/dev/null || echo no", "no\n"},
		{"", "(cat </dev/tcp/203.0.113.7/443) 2>/dev/null || echo no", "no\n"},
		{"", "sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' \\n'", "lobottle0"},
	} {
		c, err := m.Open()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = Exec(t.Context(), c, tc.user, []string{"bash", "-c", tc.script}, engine.Streams{Out: &out, Err: &out})
		if err != nil || out.String() != tc.want {
			t.Errorf("%s: %v\n got %q\nwant %q", tc.script, err, out.String(), tc.want)
		}
	}
	if log, err := os.ReadFile(trail); err != nil || !strings.Contains(string(log), `"host":"203.0.113.7:443"`) || !strings.Contains(string(log), `"host":"10.213.1.2:22"`) {
		t.Errorf("the gateway's audit: %v\n%s", err, log)
	}
	dir := filepath.Join(p.Run, "smolvm")
	recorded(t, dir, bin)
	ns := inNetwork(t, m.PID())
	if len(ns) < 2 {
		t.Errorf("in the machine's network: %v", ns)
	}
	calls := filepath.Join(t.TempDir(), "calls")
	if err := os.Link(filepath.Join(dir, "calls"), calls); err != nil { // which Stop removes
		t.Fatal(err)
	}
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
	gone(t, ns)
	if log, err := os.ReadFile(calls); err != nil || !strings.HasSuffix(string(log), "\nmachine\ndelete\n--name\ndemo-abcde\n--force\n\n") {
		t.Errorf("the machine was not deleted: %v\n%s", err, log)
	}
	if _, err := os.Stat(p.Run); !os.IsNotExist(err) {
		t.Errorf("the machine's files are there: %v", err)
	}
}

// The end of the holder, by whatever cause, is the end of all that was started.
func TestSmolvmHolderIsKilled(t *testing.T) {
	p, _, _ := smolParts(t, realInit(t))
	d, _ := fakeSmolvm(t, nil)
	if _, err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := Start(t.Context(), d, p)
	if err != nil {
		t.Fatal(err)
	}
	ns := inNetwork(t, m.PID())
	if err := syscall.Kill(m.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Ended():
	case <-time.After(10 * time.Second):
		t.Error("the machine does not end")
	}
	gone(t, ns)
	m.Kill()
}

// A machine that is not what was asked for is refused and deleted, and smolvm is
// not root.
func TestSmolvmRefuses(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"the machine's ports is 1, which was not asked for":                      {"lie": `s/"ports":0/"ports":1/`},
		"the machine's mounts is 2":                                              {"lie": `s/"mounts":1/"mounts":2/`},
		`the machine's image is "alpine"`:                                        {"lie": `s/local:sha256:abc/alpine/`},
		`the machine's cmd is []`:                                                {"lie": `s/\["service"\]/[]/`},
		`smolvm does not tell the machine's network`:                             {"lie": `s/,"network":true//`},
		`smolvm tells of the machine's ssh_agent: true, which was not asked for`: {"lie": `s/"network":true/"network":true,"ssh_agent":true/`},
		`smolvm tells of the machine's allowed_cidrs: ["0.0.0.0/0"]`:             {"lie": `s/"network":true/"network":true,"allowed_cidrs":["0.0.0.0\/0"]/`},
		`smolvm tells of the machine's restart_policy: "always"`:                 {"lie": `s/"restart_policy":"never"/"restart_policy":"always"/`},
		"is not readable": {"lie": `s/{/Error: /`},
		"smolvm does not tell the machine's process":                    {"lie": `s/"pid":[0-9]\+/"pid":null/`},
		"the machine's process is not to be seen":                       {"lie": `s/"pid":[0-9]\+/"pid":99999/`, "nothing": "x"},
		"the machine's process is in another network than the bottle's": {"elsewhere": "x"},
		"`smolvm machine create` failed: exit status 1":                 {"fail": "create"},
		"`smolvm machine start` failed: exit status 1":                  {"fail": "start"},
	} {
		t.Run(want, func(t *testing.T) {
			p, console, _ := smolParts(t, noInit(t))
			p.UID, p.GID = nobody, nobody
			if files["elsewhere"] == "" {
				files["nothing"] = "x"
			}
			d, _ := fakeSmolvm(t, files)
			if _, err := d.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := Start(t.Context(), d, p)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("%v\nlacks %q", err, want)
			}
			dir := filepath.Join(p.Run, "smolvm")
			env, _ := os.ReadFile(filepath.Join(dir, "environment"))
			calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
			uid := "0" // in a user namespace, where it is nobody but the operator
			if os.Getuid() == 0 {
				uid = "65532"
			}
			if !strings.HasSuffix(string(env), "\nuid "+uid+"\n") || strings.Contains(string(env), "hunter2") {
				t.Errorf("the environment:\n%s", env)
			}
			if !strings.HasSuffix(string(calls), "\nmachine\ndelete\n--name\ndemo-abcde\n--force\n\n") {
				t.Errorf("the machine was not deleted:\n%s", calls)
			}
			if files["fail"] != "" && !strings.Contains(console.String(), "is not possible today") {
				t.Errorf("the console does not tell: %q", console.String())
			}
		})
	}
}

// A Smolfile that gives the machine more is not even shown to smolvm.
func TestSmolvmWideSmolfile(t *testing.T) {
	p, _, _ := smolParts(t, noInit(t))
	p.Smolfile = append(p.Smolfile, "\n[network]\n"...)
	for text, want := range map[string]string{
		"net = true\ngpu = true\n":          `there is no key "gpu"`,
		"net = true\nports = [\"80:80\"]\n": "by ports: nothing of a bottle listens on the host",
	} {
		p.Smolfile = []byte(text)
		d, _ := fakeSmolvm(t, nil)
		if _, err := d.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		wire, err := syscall.Dup(int(p.Wire.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		q := p
		q.Wire, q.Run = os.NewFile(uintptr(wire), "wire"), t.TempDir()
		if _, err := Start(t.Context(), d, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
		if _, err := os.Stat(filepath.Join(q.Run, "smolvm", "calls")); err == nil {
			t.Error("smolvm was run")
		}
	}
	_ = p.Wire.Close()
}
