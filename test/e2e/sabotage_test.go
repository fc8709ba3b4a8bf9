package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// sabotage breaks one thing of a bottle that runs, as an engine, a hand or an
// update could.
type sabotage struct {
	name string
	// override is laid over the bundle's compose.yaml.
	override string
	// by breaks it in another way, and returns how to mend it.
	by func(*testing.T, *bundle) (mend func())
	// all has every container made anew, with the networks.
	all bool
	// caught are the attempts that must not be held then.
	caught []string
}

var sabotages = []sabotage{
	{name: "a capability added", override: "agent: {cap_add: [NET_RAW]}", caught: []string{"capabilities", "engine-word"}},
	{name: "the engine's socket mounted", override: "agent: {volumes: ['/var/run/docker.sock:/var/run/docker.sock']}", caught: []string{"engine-socket", "engine-sockets", "mounts", "engine-word"}},
	{name: "a path of the host mounted", override: "agent: {volumes: ['/etc:/mnt:ro']}", caught: []string{"mounts", "engine-word"}},
	{name: "what is given made writable", override: "agent: {volumes: ['./ca/agent:/etc/ssl/certs:rw']}", caught: []string{"write-mounts", "mounts"}},
	{name: "the decisions mounted", override: "agent: {volumes: ['./ca/agent:/run/bottle/decisions:ro']}", caught: []string{"queue-in-guest", "mounts"}},
	{name: "a token in the environment", override: "agent: {environment: {LEAK: '<token>'}}", caught: []string{"secrets", "agent-environment"}},
	{name: "the host's processes", override: "agent: {pid: host}", caught: []string{"namespaces", "engine-word"}},
	{name: "the host's network", override: "agent: {network_mode: host, networks: !reset {}, dns: !reset [], dns_search: !reset [], sysctls: !reset {}, hostname: !reset '', extra_hosts: !reset []}", caught: []string{"namespaces", "host-tcp", "addresses", "engine-word"}},
	{name: "new privileges", override: "agent: {security_opt: !override ['seccomp=./config/seccomp.json']}", caught: []string{"no-new-privileges", "engine-word"}},
	{name: "no seccomp filter", override: "agent: {security_opt: !override ['no-new-privileges:true', 'seccomp=unconfined']}", caught: []string{"seccomp", "keyrings", "user-namespaces", "engine-word"}},
	{name: "IPv6", override: "agent: {sysctls: {net.ipv6.conf.all.disable_ipv6: '0', net.ipv6.conf.default.disable_ipv6: '0'}}", caught: []string{"routes-6", "host-tcp6", "host-udp6", "engine-word"}},
	{name: "ICMP", override: "agent: {sysctls: {net.ipv4.ping_group_range: '0 2147483647'}}", caught: []string{"icmp", "echo-sockets"}},
	{name: "no dns", override: "agent: {dns: !reset []}", caught: []string{"dns-engine-udp", "dns-engine-tcp", "dns-programs"}},
	{name: "a device", override: "agent: {devices: ['/dev/kmsg:/dev/kmsg']}", caught: []string{"device-files", "engine-word"}},
	{name: "no limit of processes", override: "agent: {pids_limit: -1}", caught: []string{"process-limit", "engine-word"}},
	{name: "everything at once", override: "agent: {privileged: true}", caught: []string{"capabilities", "mounting", "write-kernel", "engine-word"}},
	{name: "a sidecar with a capability", override: "egress: {cap_add: [NET_ADMIN]}", caught: []string{"sidecar-powers", "engine-word"}},
	{name: "a second authority", by: addAuthority, caught: []string{"trust"}},
	{name: "a program with set-user-ID", by: addSetuid, caught: []string{"setuid"}},
	{name: "the socket between the proxies mounted", override: "agent: {volumes: ['hop:/run/bottle/hop']}", caught: []string{"hop-socket", "mounts", "engine-word"}},
	{name: "the agent on the network with a route", by: join("outside"), caught: []string{"addresses", "routes", "host-tcp", "tcp-out", "engine-word"}},
	{name: "an admin port for everybody", by: openPort, caught: []string{"sidecar-ports"}},
	{name: "a route that nobody meant", by: openRoute, caught: []string{"unlisted-host"}},
	{name: "a line of the audit changed", by: forgeAudit, caught: []string{"audit-chain"}},
	{name: "broadcasts that the host hears", by: hearBroadcasts, caught: []string{"broadcast"}},
	{name: "networks that are not internal", all: true, override: "NETWORKS inside: {internal: false}", caught: []string{"engine-word"}},
	{name: "the host's address in the network", all: true, override: "NETWORKS inside: {driver_opts: !override {}}", caught: []string{"host-tcp", "host-udp", "engine-word"}},
}

// TestVerifyCatchesSabotage breaks a bottle in one way after the other. It is the
// same verify throughout; to save time it makes the attempts that are meant for what
// was broken, after all of them were held by the same bottle while it was whole.
func TestVerifyCatchesSabotage(t *testing.T) {
	w := need(t)
	b := w.runningBundle(t)
	list, r := w.verdicts(t, w.home, b.dir)
	held(t, list, r, 120)
	t.Logf("whole: %d attempts, made %d times; %s", distinct(list), len(list), strings.TrimSpace(r.Stderr))
	for i, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			began := time.Now()
			mend := b.apply(t, s)
			// What lays itself over the bundle is replaced by what comes next.
			if i+1 == len(sabotages) || s.by != nil || sabotages[i+1].by != nil || s.all || sabotages[i+1].all {
				defer mend()
			}
			args := []string{b.dir}
			for _, id := range s.caught {
				args = append(args, "--only", id)
			}
			list, r := w.verdicts(t, w.home, args...)
			if r.Status != 1 {
				t.Errorf("verify ended with %s", r)
			}
			for _, id := range s.caught {
				if !slices.ContainsFunc(list, func(v verdict) bool { return v.ID == id && v.Result != "held" }) {
					t.Errorf("%s was held: %+v", id, list)
				}
			}
			t.Logf("%.1f s; %s", time.Since(began).Seconds(), strings.Join(leaky(list), "\n"))
		})
	}
}

// bundle is a rendered bottle that plain Compose runs.
type bundle struct {
	w       *world
	dir, id string
}

// runningBundle renders a bottle and starts it.
func (w *world) runningBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{w: w, dir: filepath.Join(t.TempDir(), "bundle")}
	if r := w.run(t, w.home, "render", "tester", "-o", b.dir); r.Status != 0 {
		t.Fatalf("render ended with %s", r)
	}
	w.fillIn(t, b.dir)
	data, err := os.ReadFile(filepath.Join(b.dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b.id = regexp.MustCompile(`(?m)^name: bottle-(.*)$`).FindStringSubmatch(string(data))[1]
	t.Cleanup(func() {
		if err := b.compose("down", "-v", "-t", "1"); err != nil {
			t.Error(err)
		}
		if err := remains(b.id); err != nil {
			t.Error(err)
		}
	})
	b.up(t)
	return b
}

// up makes what runs what the files say, and waits until the proxies answer and every
// address of the agent can be used.
func (b *bundle) up(t *testing.T, args ...string) {
	t.Helper()
	if err := b.compose(append(args, "up", "-d", "-t", "1")...); err != nil {
		t.Fatal(err)
	}
	b.shield(t, "1")
	for deadline := time.Now().Add(execTime); ; time.Sleep(100 * time.Millisecond) {
		_, err := docker("exec", b.container("egress"), "/egressd", "healthcheck")
		_, err2 := docker("exec", b.container("pipelock"), "/pipelockd", "healthcheck")
		addresses, err3 := docker("exec", b.container("agent"), "sh", "-c", "cat /proc/net/if_inet6 || true") // no IPv6, no file
		if err = errors.Join(err, err2, err3); err == nil && !tentative.MatchString(addresses) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the bottle is not ready: ", addresses, err)
		}
	}
}

// tentative is a line of /proc/net/if_inet6 with an address that is not known yet to be
// nobody else's (IFA_F_TENTATIVE, 0x40): until then a guest cannot use it.
var tentative = regexp.MustCompile(`(?m)^[0-9a-f]{32}( [0-9a-f]+){3} [0-9a-f]?[4567cdef][0-9a-f] `)

func (b *bundle) container(service string) string { return "bottle-" + b.id + "-" + service + "-1" }

// compose runs Compose, which gets no token by its environment.
func (b *bundle) compose(args ...string) error {
	var out bytes.Buffer
	files := []string{"compose"}
	if len(args) > 1 && args[0] == "-f" {
		files = append(files, "-f", "compose.yaml")
	}
	cmd := exec.Command("docker", append(files, args...)...)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), "E2E_TOKEN=")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker compose %s: %w: %s", strings.Join(args, " "), err, out.String())
	}
	return nil
}

// shield sets what the launcher sets on the bridge of a bottle.
func (b *bundle) shield(t *testing.T, value string) {
	t.Helper()
	id := strings.TrimSpace(mustDocker(t, "network", "inspect", "-f", "{{.Id}}", "bottle-"+b.id+"_inside"))
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/br-"+id[:12]+"/rp_filter", []byte(value), 0); err != nil {
		t.Skip("the bridge's settings cannot be changed here:", err)
	}
}

// apply breaks the bottle and returns what mends it.
func (b *bundle) apply(t *testing.T, s sabotage) (mend func()) {
	t.Helper()
	if s.by != nil {
		return s.by(t, b)
	}
	text := "services:\n  " + strings.ReplaceAll(s.override, "<token>", b.w.token) + "\n"
	if nets, ok := strings.CutPrefix(s.override, "NETWORKS "); ok {
		text = "networks:\n  " + nets + "\n"
	}
	if err := os.WriteFile(filepath.Join(b.dir, "sabotage.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	renew := func() {
		if s.all {
			if err := b.compose("down", "-t", "1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	renew()
	b.up(t, "-f", "sabotage.yaml")
	return func() {
		renew()
		b.up(t)
	}
}

// rewrite changes a file of the bundle and returns what puts it back. The file stays
// the same one, since containers see it.
func (b *bundle) rewrite(t *testing.T, name string, change func([]byte) []byte) (mend func()) {
	t.Helper()
	path := filepath.Join(b.dir, name)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(old), 0); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, old, 0); err != nil {
			t.Error(err)
		}
	}
}

func addAuthority(t *testing.T, b *bundle) func() {
	other := testkit.NewCA(t, "another authority").PEM()
	return b.rewrite(t, "ca/agent/ca-certificates.crt", func(old []byte) []byte { return append(bytes.Clone(old), other...) })
}

func addSetuid(t *testing.T, b *bundle) func() {
	mustDocker(t, "exec", "-u", "root", b.container("agent"), "sh", "-c", "cp /bin/true /opt/true && chmod 4755 /opt/true")
	return func() { mustDocker(t, "exec", "-u", "root", b.container("agent"), "rm", "/opt/true") }
}

func join(network string) func(*testing.T, *bundle) func() {
	return func(t *testing.T, b *bundle) func() {
		name := "bottle-" + b.id + "_" + network
		mustDocker(t, "network", "connect", name, b.container("agent"))
		return func() { mustDocker(t, "network", "disconnect", name, b.container("agent")) }
	}
}

// openPort stands for a sidecar that would serve its admin port to the agent, which
// its own configuration cannot make it do.
func openPort(t *testing.T, b *bundle) func() {
	egress := containers(t, b.id)["egressd"]
	address := egress.NetworkSettings.Networks["bottle-"+b.id+"_inside"].IPAddress
	name := "bottle-" + b.id + "-intruder"
	mustDocker(t, "run", "-d", "--rm", "--name", name, "--network", "container:"+egress.ID, "bottle/agent-shell:dev", "python3", "-m", "http.server", "9901", "--bind", address)
	time.Sleep(time.Second) // until it listens
	return func() { mustDocker(t, "rm", "-f", name) }
}

func openRoute(t *testing.T, b *bundle) func() {
	mend := b.rewrite(t, "config/egressd.yaml", func(old []byte) []byte {
		return bytes.Replace(old, []byte("routes:\n"), []byte("routes:\n  - host: \"*.probe.example\"\n"), 1)
	})
	reload := func() { mustDocker(t, "kill", "--signal", "HUP", b.container("egress")); time.Sleep(time.Second) }
	reload()
	return func() { mend(); reload() }
}

func forgeAudit(t *testing.T, b *bundle) func() {
	return b.rewrite(t, "audit/egress/egressd.jsonl", func(old []byte) []byte {
		return bytes.Replace(old, []byte(`"decision":"deny"`), []byte(`"decision":"dent"`), 1)
	})
}

func hearBroadcasts(t *testing.T, b *bundle) func() {
	b.shield(t, "0")
	return func() { b.shield(t, "1") }
}
