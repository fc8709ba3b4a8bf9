package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// needMachines skips where no virtual machine can be started.
func needMachines(t *testing.T) *world {
	t.Helper()
	w := need(t)
	kit := os.Getenv("BOTTLE_GUEST")
	if kit == "" {
		kit = filepath.Join(w.bin, "guest")
	}
	if _, err := os.Stat(filepath.Join(kit, "vmlinuz")); err != nil {
		t.Skip("there is no kernel for virtual machines; run `make guest`")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("there is no qemu-system-x86_64; install qemu-system-x86")
	}
	return w
}

// monitors are the processes of QEMU that run a machine of an identity.
func monitors(id string) []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range dirs {
		line, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(line), "\x00-name\x00"+id+"\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

const machineBottle = `---
egress:
  routes:
    - host: {api}
      matches:
        - {path: {prefix: /v1/}, methods: [GET, POST]}
      auth: {scheme: Bearer, token_ref: E2E_TOKEN}
supervise: true
pipelock:
  hosts: {api.demo.example: <upstream>}
  allow_private: [api.demo.example]
  extra_ca: <ca>
resources: {cpus: 2, memory: 1GiB}
---
`

func (w *world) machineHome(t *testing.T) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	text := strings.NewReplacer("{api}", w.site("api"), "<upstream>", upstreamAddress, "<ca>", w.upstream.CAFile()).Replace(machineBottle)
	for name, data := range map[string]string{"bottles/vm.md": text, "agents/machinist.md": "---\nbottle: vm\n---\nYou are in a machine.\n"} {
		file := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// TestMachine is the life of one virtual machine: it uses the sidecars as a
// container does, reaches nothing else, and leaves nothing behind.
func TestMachine(t *testing.T) {
	w := needMachines(t)
	home := w.machineHome(t)
	before := w.upstream.Mark()
	began := time.Now()
	b := w.mustStart(t, home, "machinist", "--backend", "smolmachines", "--discard")
	t.Logf("up after %s", time.Since(began))

	out := b.shell(t, "curl -sS -m 30 "+w.url("api", "/v1/hello")+" >/dev/null && uname -r && id -un && cat /etc/bottle/prompt.md")
	if !strings.Contains(out, "cloud-amd64") || !strings.Contains(out, "agent\nYou are in a machine.") {
		t.Errorf("in the machine: %q", out)
	}
	seen := w.upstream.Since(before)
	if len(seen) != 1 || seen[0].Header.Get("Authorization") != "Bearer "+w.token {
		t.Errorf("the upstream saw %d requests: %+v", len(seen), seen)
	}
	if got := b.shell(t, "curl -sS -m 30 -o /dev/null -w '%{http_code}' "+w.url("api", "/elsewhere")+"; curl -sS -m 30 -o /dev/null -w ' %{http_code}' http://supervise:9100/ || true"); !strings.HasPrefix(got, "403 4") {
		t.Errorf("denied path and superviserd: %q", got)
	}
	if r := b.exec(t, "root", "grep CapEff /proc/self/status; exit 9\n"); r.Status != 9 || !strings.Contains(r.Stdout, "0000000000000000") {
		t.Errorf("as root: %s", r)
	}
	machineReachesNothing(t, w, b)
	if ms := monitors(b.id); len(ms) != 1 {
		t.Fatalf("the machine has the monitors %v", ms)
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
	if ms := monitors(b.id); len(ms) != 0 {
		t.Errorf("the monitors %v are left", ms)
	}
}

// machineReachesNothing knocks from inside, and looks at what arrived outside and
// at what the gateway wrote down.
func machineReachesNothing(t *testing.T, w *world, b *bottle) {
	t.Helper()
	port, _ := strconv.Atoi(w.port)
	doors := []door{{"tcp", "egress", 9099, "the proxy"}, {"tcp", "proxy.internal", 9099, "the proxy"}}
	for _, a := range append(gateways(t, b), hostAddresses(t)...) {
		doors = append(doors, door{"tcp", a, w.host.Port(), "the host"}, door{"udp", a, w.host.Port(), "the host"})
	}
	doors = append(doors, door{"tcp", upstreamAddress, port, "the upstream"}, door{"tcp", nobodysAddress, port, "the internet"},
		door{"udp", nobodysAddress, 53, "a resolver"}, door{"tcp", "169.254.169.254", 80, "metadata"},
		door{"ping", upstreamAddress, 0, "ICMP"}, door{"raw", "", 0, "raw"}, door{"packet", "", 0, "packet"}, door{"tcp6", "2001:db8::1", 443, "IPv6"})
	for _, user := range users {
		mark, touched := w.upstream.Mark(), w.touched()
		out := b.reach(t, user, doors)
		for i, d := range doors {
			if open := i < 2; d.Proto != "udp" && out[i].Open != open {
				t.Errorf("%s: %s %s:%d: open is %v (%s)", user, d.Proto, d.Host, d.Port, out[i].Open, out[i].Seen)
			}
		}
		if n := w.upstream.ConnectionsSince(mark); n != 0 {
			t.Errorf("%s reached the upstream %d times", user, n)
		}
		w.untouched(t, touched)
	}
	data, err := os.ReadFile(filepath.Join(b.dir, "audit", "gateway", "gateway.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{nobodysAddress + ":" + w.port, "169.254.169.254:80"} {
		if !strings.Contains(string(data), `"reason":"flow_not_forwarded"`) || !strings.Contains(string(data), `"host":"`+host+`"`) {
			t.Errorf("the gateway's audit does not tell of %s", host)
		}
	}
}

// TestMachineAndItsLauncher kills the launcher of a machine, which ends with it;
// cleanup removes the rest.
func TestMachineAndItsLauncher(t *testing.T) {
	w := needMachines(t)
	home := w.machineHome(t)
	b := w.mustStart(t, home, "machinist", "--backend", "smolmachines", "--discard")
	if _, err := b.Signal(syscall.SIGKILL); err != nil {
		t.Log(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(monitors(b.id)) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the machine outlives its launcher")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if r := w.run(t, home, "cleanup", "--yes"); r.Status != 0 {
		t.Error(r)
	}
	if err := remains(b.id); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(b.dir); !os.IsNotExist(err) {
		t.Errorf("the state is left: %v", err)
	}
}

// TestMachineKeepsItsHome stops a machine and goes on with it.
func TestMachineKeepsItsHome(t *testing.T) {
	w := needMachines(t)
	home := w.machineHome(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "given.txt"), []byte("given\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := w.mustStart(t, home, "machinist", "--backend", "smolmachines", "--cwd", dir)
	if got := b.shell(t, "cat ~/workspace/given.txt; echo made >~/workspace/made.txt"); got != "given\n" {
		t.Errorf("the workspace: %q", got)
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	if r := w.run(t, home, "copy-out", b.id, dir, "--yes"); r.Status != 0 {
		t.Error(r)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "made.txt")); string(got) != "made\n" {
		t.Errorf("copied out: %q, %v", got, err)
	}
	r := finish(t, w.operator(home).Command(t.Context(), "resume", b.id, "--yes", "--discard", "--", "cat", "made.txt"), "")
	if r.Status != 0 || r.Stdout != "made\n" {
		t.Errorf("resumed: %s", r)
	}
}

// TestMachineCycles starts and stops machines over and over: BOTTLE_CYCLES of
// them, three by default.
func TestMachineCycles(t *testing.T) {
	w := needMachines(t)
	home := w.machineHome(t)
	n := 3
	if v, err := strconv.Atoi(os.Getenv("BOTTLE_CYCLES")); err == nil {
		n = v
	}
	var took []string
	for i := range n {
		began := time.Now()
		r := w.runFor(t, machineTime, home, "start", "machinist", "--yes", "--discard", "--backend", "smolmachines", "--", "true")
		took = append(took, fmt.Sprintf("%.1f", time.Since(began).Seconds()))
		if r.Status != 0 {
			t.Fatal(r)
		}
		t.Logf("cycle %d: %s s", i+1, took[i])
	}
	t.Logf("seconds from start to end: %s", strings.Join(took, " "))
	ids, err := os.ReadDir(filepath.Join(home, "state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if ms := monitors(id.Name()); len(ms) != 0 {
			t.Errorf("%s left the monitors %v", id.Name(), ms)
		}
		if err := remains(id.Name()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(home, "state", id.Name(), "machine")); !os.IsNotExist(err) {
			t.Errorf("%s left its machine's files: %v", id.Name(), err)
		}
	}
}

// What a machine cannot do is refused before anything is made.
func TestMachineRefusals(t *testing.T) {
	w := need(t)
	home := w.machineHome(t)
	for _, tc := range []struct {
		want  string
		env   string
		flags []string
	}{
		{`there is no driver "qmeu" (did you mean "qemu"?)`, "BOTTLE_VM_DRIVER=qmeu", []string{"--backend", "smolmachines"}},
		{"there is no backend", "", []string{"--backend", "firecracker"}},
		{"a bottle without a boundary", "", []string{"--backend", "local"}},
		{"does not", "", []string{"--backend", "smolmachines", "--cwd", w.dir, "--mount"}},
		{"run `make guest`", "BOTTLE_GUEST=/nowhere", []string{"--backend", "smolmachines"}},
	} {
		cmd := w.operator(home, tc.env).Command(t.Context(), append([]string{"start", "machinist", "--yes"}, tc.flags...)...)
		if r := finish(t, cmd, ""); r.Status != 2 || !strings.Contains(r.Stderr, tc.want) {
			t.Errorf("%q: %s", tc.want, r)
		}
	}
}
