package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// users are who tries to get out.
var users = []string{"agent", "root"}

// door is somewhere that testdata/reach.py knocks.
type door struct {
	Proto string `json:"proto"` // tcp, udp, ping, raw, packet, tcp6
	Host  string `json:"host"`
	Port  int    `json:"port"`
	// why tells a reader what would be behind it.
	why string
}

type knock struct {
	Open bool   `json:"open"`
	Seen string `json:"seen"`
}

func (b *bottle) reach(t *testing.T, user string, doors []door) []knock {
	t.Helper()
	var out []knock
	b.python(t, user, "reach.py", doors, &out)
	if len(out) != len(doors) {
		t.Fatalf("%d doors, %d answers", len(doors), len(out))
	}
	return out
}

// gateways are the first addresses of a bottle's networks, which an engine gives
// to the host's side of the bridge.
func gateways(t *testing.T, b *bottle) []string {
	t.Helper()
	var list []string
	for _, component := range []string{"inside", "outside"} {
		id := strings.TrimSpace(mustDocker(t, "network", "ls", "-q", "--filter", "label=bottle.identity="+b.id, "--filter", "label=bottle.component="+component))
		subnet, err := netip.ParsePrefix(strings.TrimSpace(mustDocker(t, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", id)))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, subnet.Addr().Next().String())
	}
	return list
}

// hostAddresses are all IPv4 addresses of this machine that a guest could try.
func hostAddresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			list = append(list, p.Addr().String())
		}
	}
	return list
}

// touched counts what has arrived where nothing may.
func (w *world) touched() int { return len(w.host.Touched()) + len(w.nobody.Touched()) }

// untouched fails the test when something has arrived since then.
func (w *world) untouched(t *testing.T, before int) {
	t.Helper()
	if w.touched() > before {
		t.Errorf("what nobody may reach was touched: %q %q", w.host.Touched(), w.nobody.Touched())
	}
}

// TestNothingIsReachedPastTheProxy knocks, as agent and as root, at everything
// that a guest could hope for. The one door that must be open, the proxy, shows
// that knocking works.
func TestNothingIsReachedPastTheProxy(t *testing.T) {
	w, b := inBottle(t)
	port, _ := strconv.Atoi(w.port)
	var doors []door
	add := func(why, host string, ports ...int) {
		for _, p := range ports {
			doors = append(doors, door{"tcp", host, p, why}, door{"udp", host, p, why})
		}
	}
	add("the allowed upstream itself", upstreamAddress, port)
	add("an address on the internet", nobodysAddress, port)
	for _, a := range append(gateways(t, b), hostAddresses(t)...) {
		add("the host's own service", a, w.host.Port())
	}
	for component, c := range containers(t, b.id) {
		if component == "agent" {
			continue
		}
		for network, n := range c.NetworkSettings.Networks {
			why := component + " on " + network
			if component == "egressd" && strings.HasSuffix(network, "_inside") {
				doors = append(doors, door{"tcp", n.IPAddress, 9901, why + ", its admin port"})
				continue
			}
			for _, p := range []int{9099, 8888, 9901, 9902} {
				doors = append(doors, door{"tcp", n.IPAddress, p, why})
			}
		}
	}
	doors = append(doors,
		door{"tcp6", "::1", 9099, "IPv6 loopback"}, door{"tcp6", "2001:db8::1", 443, "IPv6"}, door{"tcp6", "fe80::1%eth0", w.host.Port(), "IPv6, link-local"},
		door{"raw", "", 0, "a raw socket"}, door{"packet", "", 0, "a packet socket"}, door{"ping", upstreamAddress, 0, "ICMP"},
	)
	for _, user := range users {
		t.Run(user, func(t *testing.T) {
			before, inner, touched := w.upstream.Mark(), w.inner.Mark(), w.touched()
			out := b.reach(t, user, append([]door{{"tcp", "egress", 9099, "the proxy"}}, doors...))
			if !out[0].Open {
				t.Fatalf("the proxy is not open (%s), so the rest proves nothing", out[0].Seen)
			}
			for i, d := range doors {
				// A datagram has no answer: what counts is whether it arrived.
				if out[i+1].Open && d.Proto != "udp" {
					t.Errorf("%s %s:%d is open: %s (%s)", d.Proto, d.Host, d.Port, d.why, out[i+1].Seen)
				}
			}
			if n := w.upstream.ConnectionsSince(before) + w.inner.ConnectionsSince(inner); n != 0 {
				t.Errorf("%d connections reached the upstreams", n)
			}
			w.untouched(t, touched)
		})
	}
}

// TestTheHostIsNotOnTheBridge looks at the bottle's own bridge: the host has no
// address there, of neither family, whatever the engine has left it.
func TestTheHostIsNotOnTheBridge(t *testing.T) {
	_, b := inBottle(t)
	id := strings.TrimSpace(mustDocker(t, "network", "inspect", "-f", "{{.Id}}", "bottle-"+b.id+"_inside"))
	bridge, err := net.InterfaceByName("br-" + id[:12])
	if err != nil {
		t.Skip("the engine's bridges are on another machine: ", err)
	}
	if addresses, err := bridge.Addrs(); err != nil || len(addresses) > 0 && os.Getuid() == 0 {
		t.Errorf("on the bridge the host has %v (%v)", addresses, err)
	}
}

// TestCurlWithoutTheProxyFails is what an agent would try first.
func TestCurlWithoutTheProxyFails(t *testing.T) {
	w, b := inBottle(t)
	var targets []string
	for _, address := range append(gateways(t, b), upstreamAddress, nobodysAddress) {
		targets = append(targets, "https://"+address+":"+w.port+"/", fmt.Sprintf("http://%s:%d/", address, w.host.Port()))
	}
	for _, user := range users {
		before, touched := w.upstream.Mark(), w.touched()
		r := b.exec(t, user, `for url in `+strings.Join(targets, " ")+`; do
			curl --noproxy '*' -k -s -m 4 -o /dev/null "$url" && echo "reached $url" & done; wait
			curl --noproxy '*' -s -m 8 -o /dev/null --resolve `+strings.Split(w.site("api"), ":")[0]+`:`+w.port+`:`+upstreamAddress+` `+w.url("api", "/v1/hello")+` && echo reached by name
			echo done`)
		if r.Stdout != "done\n" {
			t.Errorf("as %s: %s", user, r)
		}
		sawNothing(t, w.upstream, before)
		w.untouched(t, touched)
	}
}

// TestOutsideNamesFailFast asks for names as programs do, and for every type by
// both transports at both resolvers that a guest could talk to.
func TestOutsideNamesFailFast(t *testing.T) {
	_, b := inBottle(t)
	name := "leak-" + digits(8) + ".example"
	var out struct {
		Seconds  float64
		Resolved []string
		Answers  []struct {
			Server, Transport, Type string
			Code, Answers           int
			Seconds                 float64
			Error                   string
		}
	}
	b.python(t, "agent", "names.py", map[string]any{"names": []string{name, "localhost.localdomain.example", "api.demo.example"}, "query": name}, &out)
	if len(out.Resolved) > 0 {
		t.Errorf("outside names were resolved: %q", out.Resolved)
	}
	if out.Seconds > 6 {
		t.Errorf("three outside names took %.1f s to fail", out.Seconds)
	}
	nxdomain := 0
	for _, a := range out.Answers {
		if a.Answers != 0 || a.Error == "" && a.Code == 0 {
			t.Errorf("%+v", a)
		}
		if a.Code == 3 {
			nxdomain++
		}
	}
	least := 20
	if underGVisor(t) {
		least = 18 // the engine's resolver is not there to be asked
	}
	if nxdomain == 0 || len(out.Answers) < least {
		t.Errorf("%d of %d queries were answered with NXDOMAIN", nxdomain, len(out.Answers))
	}
	resolver := "egressd"
	if onMachines() {
		resolver = "gateway"
	}
	b.awaitLine(t, resolver, "the DNS question for "+name, func(l audit.Line) bool {
		return l.Event == "dns" && l.Reason == policy.ReasonNameNotAnswered && strings.TrimSuffix(l.Host, ".") == name
	})
}

// TestPowersOfTheGuest reads what the kernel says of a process of each user.
func TestPowersOfTheGuest(t *testing.T) {
	_, b := inBottle(t)
	for _, user := range users {
		r := b.exec(t, user, `grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr -d ' \t'; cat /proc/net/if_inet6 2>/dev/null | sed 's/^/inet6:/'
			echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && echo wrote:ipv6
			echo 1 > /proc/sys/net/ipv4/ip_forward && echo wrote:forward
			mount -t tmpfs none /mnt && echo mounted; unshare -n true && echo unshared
			ip link add dummy0 type dummy 2>/dev/null && echo link; true`)
		for _, want := range []string{"CapInh:0000000000000000", "CapPrm:0000000000000000", "CapEff:0000000000000000", "CapBnd:0000000000000000", "CapAmb:0000000000000000", "NoNewPrivs:1"} {
			if !strings.Contains(r.Stdout, want) {
				t.Errorf("as %s there is no %s in:\n%s", user, want, r.Stdout)
			}
		}
		if lines := strings.Split(strings.TrimSpace(r.Stdout), "\n"); len(lines) != 6 {
			t.Errorf("as %s something worked that should not: %q", user, lines)
		}
	}
}

// TestPowersOfTheSidecars reads the same of the sidecars, from outside.
func TestPowersOfTheSidecars(t *testing.T) {
	_, b := inBottle(t)
	for component, c := range containers(t, b.id) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.State.Pid))
		if err != nil {
			t.Skip("the engine's processes are not on this machine:", err)
		}
		status := strings.Join(strings.Fields(string(data)), " ")
		for _, want := range []string{"CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1"} {
			if !strings.Contains(status, want) {
				t.Errorf("%s has no %s", component, want)
			}
		}
		if strings.Contains(status, "Uid: 0 ") {
			t.Errorf("%s runs as root", component)
		}
	}
}

// TestFilesOfTheGuest: no way to the engine, no program that gains rights, and
// of the host no more than the certificate, the prompt and the settings of its
// package clients, which it can read.
func TestFilesOfTheGuest(t *testing.T) {
	_, b := inBottle(t)
	r := b.exec(t, "root", `find / -xdev \( -name '*docker*.sock' -o -name 'containerd*.sock' -o -type b \) 2>/dev/null
		find / -xdev -type f -perm /6000 2>/dev/null; ls /run/secrets /run/bottle 2>/dev/null; true`)
	if r.Stdout != "" {
		t.Errorf("the guest has:\n%s", r.Stdout)
	}
	given := []string{"/etc/ssl/certs", "/etc/bottle/prompt.md", "/etc/bottle/clients", "/etc/bottle/skills", "/etc/gitconfig"}
	engines := []string{"/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/sbin/docker-init", "/usr/sbin/docker-init"}
	for line := range strings.Lines(b.shell(t, "cat /proc/self/mountinfo")) {
		fields := strings.Fields(line)
		root, at, options := fields[3], fields[4], fields[5]
		fromHost := root != "/" && !strings.HasPrefix(at, "/proc") && !strings.HasPrefix(at, "/sys") && !strings.HasPrefix(at, "/dev")
		if fromHost && !slices.Contains(given, at) && !slices.Contains(engines, at) {
			t.Errorf("%s of the host is mounted at %s", root, at)
		}
		if slices.Contains(given, at) && !strings.HasPrefix(options, "ro") {
			t.Errorf("%s is mounted %s", at, options)
		}
	}
	if prompt := b.shell(t, "cat /etc/bottle/prompt.md"); prompt != "A tester's prompt.\n" {
		t.Errorf("the prompt is %q", prompt)
	}
}

// TestTheGuestTrustsTheEgressRootOnly compares what is trusted in the guest with
// what the launcher says it made.
func TestTheGuestTrustsTheEgressRootOnly(t *testing.T) {
	_, b := inBottle(t)
	data, err := os.ReadFile(filepath.Join(b.dir, "metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var meta struct{ CA map[string]string }
	if err := json.Unmarshal(data, &meta); err != nil {
		t.Fatal(err)
	}
	var trusted struct {
		Python, Files []string // SHA-256 of certificates
		Hashed        bool
	}
	b.python(t, "root", "trust.py", nil, &trusted)
	want := meta.CA["egress"]
	if want == "" || !slices.Equal(trusted.Python, []string{want}) {
		t.Errorf("python trusts %q, the egress root is %q", trusted.Python, want)
	}
	for _, f := range trusted.Files {
		if f != want {
			t.Errorf("there is a certificate %s in the guest's store, which is not the egress root %s", f, want)
		}
	}
	if len(trusted.Files) == 0 || !trusted.Hashed {
		t.Errorf("the store has %d certificates; found by hash: %v", len(trusted.Files), trusted.Hashed)
	}
	if !strings.Contains(b.Stderr(), want) {
		t.Error("the launcher did not print the fingerprint of the egress root")
	}
}

// TestTwoBottlesDoNotReachEachOther starts a second bottle and knocks at the
// first.
func TestTwoBottlesDoNotReachEachOther(t *testing.T) {
	w, first := inBottle(t)
	second := w.mustStart(t, w.home, "other")
	var doors []door
	for component, c := range containers(t, first.id) {
		for network, n := range c.NetworkSettings.Networks {
			for _, p := range []int{53, 9099, 8888, 9901, 9902} {
				doors = append(doors, door{"tcp", n.IPAddress, p, component + " on " + network})
			}
		}
	}
	for _, user := range users {
		out := second.reach(t, user, append([]door{{"tcp", "egress", 9099, "its own proxy"}}, doors...))
		if !out[0].Open {
			t.Fatalf("as %s its own proxy is not open: %s", user, out[0].Seen)
		}
		for i, d := range doors {
			if out[i+1].Open {
				t.Errorf("as %s %s:%d of the other bottle is open: %s", user, d.Host, d.Port, d.why)
			}
		}
	}
	// It is a working bottle, under an authority of its own.
	before := w.upstream.Mark()
	second.shell(t, "curl -sS --fail -o /dev/null "+w.url("open", "/v1/hello"))
	sawOne(t, w.upstream, before)
	ca := func(b *bottle) string {
		data, err := os.ReadFile(filepath.Join(b.dir, "ca", "agent", "ca-certificates.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if ca(first) == ca(second) {
		t.Error("both bottles trust the same authority")
	}
	began := time.Now()
	if status, err := second.Signal(syscall.SIGINT); err != nil || status != 130 {
		t.Errorf("after SIGINT the launcher ended with %d (%v), not 130", status, err)
	}
	t.Logf("SIGINT to the end: %.1f s", time.Since(began).Seconds())
	if err := remains(second.id); err != nil {
		t.Error(err)
	}
	// Of which the first has noticed nothing.
	first.shell(t, "curl -sS --fail -o /dev/null "+w.url("api", "/v1/hello"))
}
