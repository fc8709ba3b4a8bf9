package verify

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Addresses that are nobody's: set aside for documentation (RFC 5737, 3849).
const (
	nobody  = "203.0.113.53"
	nobody6 = "2001:db8::53"
)

// connectingAttempts go for addresses: through the proxy by every spelling, and past
// it by every protocol.
func connectingAttempts() []*attempt {
	var list []*attempt
	for _, l := range [][3]string{
		{"loopback", "127.0.0.1", "127.0.0.1"}, {"loopback-number", "127.0.0.1 as a number", "2130706433"}, {"loopback-hex", "127.0.0.1 in hexadecimal", "0x7f000001"},
		{"loopback-octal", "127.0.0.1 in octal", "0177.0.0.1"}, {"loopback-short", "127.1", "127.1"}, {"zero", "0", "0"}, {"zeros", "0.0.0.0", "0.0.0.0"},
		{"loopback-6", "::1", "[::1]"}, {"mapped", "127.0.0.1 mapped into IPv6", "[::ffff:127.0.0.1]"}, {"nat64", "127.0.0.1 by NAT64", "[64:ff9b::7f00:1]"},
		{"6to4", "127.0.0.1 by 6to4", "[2002:7f00:1::]"}, {"metadata", "the cloud's metadata", "169.254.169.254"}, {"metadata-6", "the cloud's metadata by IPv6", "[fd00:ec2::254]"},
		{"private-10", "10.0.0.1", "10.0.0.1"}, {"private-172", "172.17.0.1", "172.17.0.1"}, {"private-192", "192.168.0.1", "192.168.0.1"},
		{"shared", "100.64.0.1", "100.64.0.1"}, {"link-local-6", "fe80::1", "[fe80::1]"}, {"local-6", "fd00::1", "[fd00::1]"}, {"public", "an address that nobody has", nobody},
	} {
		list = append(list, connectTo("to-"+l[0], "a tunnel to "+l[1], l[2]+":443"))
	}
	for _, n := range []string{"localhost", "host.docker.internal", "gateway.docker.internal", "metadata.google.internal", "kubernetes.default.svc", "pipelock"} {
		list = append(list, connectTo("to-"+strings.ReplaceAll(n, ".", "-"), "a tunnel to "+n, n+":443"))
	}
	list = append(list,
		plainly("plain-metadata", "plain HTTP to the cloud's metadata", "GET http://169.254.169.254/latest/{t} HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n"),
		plainly("plain-admin", "plain HTTP through the proxy to its own admin port", "GET http://127.0.0.1:9901/{t} HTTP/1.1\r\nHost: 127.0.0.1:9901\r\nConnection: close\r\n\r\n"),
	)
	return append(append(list, pastAttempts()...), nameAttempts()...)
}

// noObject is why an attempt without a target is not made.
const noObject = "there is none"

// targets plans a tool on targets, if there are any.
func targets(tool string, f func(*view) ([]string, string)) func(*view) (wire.ProbeTask, string) {
	return func(v *view) (wire.ProbeTask, string) {
		list, why := f(v)
		if why == "" && len(list) == 0 {
			why = noObject
		}
		return wire.ProbeTask{Tool: tool, Targets: list}, why
	}
}

// fixed are targets that are the same in every bottle, or none where the tool needs
// none: such an attempt is always made.
func fixed(tool string, list ...string) func(*view) (wire.ProbeTask, string) {
	return func(*view) (wire.ProbeTask, string) { return wire.ProbeTask{Tool: tool, Targets: list}, "" }
}

// withPorts joins addresses and ports.
func withPorts(addresses []string, ports ...int) (list []string) {
	for _, a := range addresses {
		for _, p := range ports {
			if a != "" {
				list = append(list, net.JoinHostPort(a, fmt.Sprint(p)))
			}
		}
	}
	return list
}

// toHost are all addresses by which a guest may look for this host.
func toHost(v *view) ([]string, string) {
	return withPorts(slices.Compact(slices.Sorted(slices.Values(append(v.hostAddresses(), v.gateways()...)))), v.ear.port), ""
}

// pastAttempts do not ask the proxy.
func pastAttempts() []*attempt {
	return []*attempt{
		{id: "tcp-out", words: "TCP to an address on the internet", plan: fixed("tcp", nobody+":443", nobody+":80", nobody+":22", "198.51.100.53:443"), judge: judgeNoPacket},
		{id: "udp-out", words: "UDP to an address on the internet", plan: fixed("udp", nobody+":53", nobody+":123", nobody+":5353"), judge: judgeNoPacket},
		{id: "quic-out", words: "QUIC to an address on the internet", plan: fixed("udp", nobody+":443", "198.51.100.53:443"), judge: judgeNoPacket},
		{id: "tcp6-out", words: "TCP by IPv6", plan: fixed("tcp", "["+nobody6+"]:443"), judge: judgeNoPacket},
		{id: "udp6-out", words: "UDP by IPv6", plan: fixed("udp", "["+nobody6+"]:53"), judge: judgeNoPacket},
		{id: "host-tcp", words: "TCP to every address of this host, the bridges' included", plan: targets("tcp", toHost), judge: judgeEar},
		{id: "host-udp", words: "UDP to every address of this host", plan: targets("udp", toHost), judge: judgeEar},
		{id: "host-tcp6", words: "TCP to this host's link-local address", plan: targets("tcp", toLinkLocal), judge: judgeEar},
		{id: "host-udp6", words: "UDP to this host's link-local address", plan: targets("udp", toLinkLocal), judge: judgeEar},
		{id: "broadcast", words: "broadcast and multicast on the link, past the routing table", judge: judgeEar,
			plan: targets("broadcast", func(v *view) ([]string, string) { return []string{fmt.Sprint(v.ear.port)}, "" })},
		{id: "icmp", words: "ICMP to the proxy and out", plan: targets("icmp", pinged), judge: judgePing},
		{id: "hop-socket", words: "the socket between the proxies, in its place in theirs", plan: fixed("unix", compose.HopDir, compose.HopSocket), judge: judgeShut},
		{id: "outside-network", words: "the network with a route to the internet", plan: targets("tcp", toOutside), judge: judgeNoPacket},
		{id: "other-bottles", words: "the sidecars of other bottles", plan: targets("tcp", func(v *view) ([]string, string) {
			if len(v.others) == 0 {
				return nil, "no other bottle runs"
			}
			return withPorts(v.others, 53, 9099, 8888, 9418, 9420, 9100), ""
		}), judge: judgeShut},
		{id: "sidecar-ports", words: "every port of the sidecars but those meant for the agent", plan: targets("tcp", toSidecars), judge: judgeSidecars},
	}
}

func toLinkLocal(v *view) ([]string, string) {
	a := v.linkLocal("inside")
	if a == "" {
		return nil, "the bridge is not on this machine"
	}
	return []string{fmt.Sprintf("[%s%%eth0]:%d", a, v.ear.port)}, ""
}

func toOutside(v *view) ([]string, string) {
	return withPorts([]string{v.address("pipelockd", "outside"), v.address("gitgated", "outside")}, 8888, 9902, 9418, 9420, 9903), ""
}

// meant are the ports that the agent may use, by component.
func (s *site) meant(component string) []string {
	switch {
	case component == "gateway":
		return nil // it is nobody's to speak to
	case s.machine != nil && component == "egressd":
		return []string{"9099"} // names are the gateway's
	case s.machine != nil && component == "pipelockd" && s.egress == nil:
		return []string{"8888"}
	case component == "egressd":
		return []string{"53", "9099"}
	case component == "pipelockd" && s.egress == nil:
		return []string{"53", "8888"}
	case component == "gitgated":
		return []string{"9418", "9420"}
	case component == "superviserd":
		return []string{"9100"}
	}
	return nil
}

// common are ports that something may listen on: those of the sidecars, and of what
// is often left open.
var common = []int{
	21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 389, 443, 445, 514, 587, 631, 873, 1080, 1433, 2049, 2375, 2376, 2379, 3000, 3128, 3306, 3389,
	4040, 4317, 5000, 5353, 5432, 5672, 5900, 6060, 6379, 7000, 8000, 8080, 8443, 8888, 9000, 9090, 9092, 9099, 9100, 9200, 9418, 9420, 9901, 9902, 9903, 9904, 10250, 11211, 27017,
}

func toSidecars(v *view) (list []string, why string) {
	for component := range v.containers {
		if component != agent && component != "gateway" {
			list = append(list, withPorts([]string{v.address(component, "inside")}, common...)...)
		}
	}
	if v.machine != nil {
		list = append(list, withPorts([]string{v.machine.gateway.String()}, append(common, 9905)...)...)
	}
	slices.Sort(list)
	return list, ""
}

// judgeSidecars wants the ports for the agent open, which shows that knocking
// works, and all others shut.
func judgeSidecars(e *evidence, p *plan) (result, seen string) {
	fine := map[string]bool{}
	for component := range e.site.containers {
		for _, port := range e.site.meant(component) {
			if a := e.site.address(component, "inside"); a != "" {
				fine[net.JoinHostPort(a, port)] = true
			}
		}
	}
	if m := e.site.machine; m != nil {
		fine[net.JoinHostPort(m.gateway.String(), "53")] = true
	}
	shut, open := 0, 0
	for _, s := range p.report.Seen {
		switch {
		case s.Open && !fine[s.Target]:
			return Open, s.Target + ": " + s.What
		case s.Open:
			open++
		default:
			shut++
		}
	}
	if open != len(fine) || open == 0 {
		return Error, fmt.Sprintf("of %d ports that are the agent's to use, %d answered, so a shut one proves nothing", len(fine), open)
	}
	return Held, fmt.Sprintf("%d shut, and the %d for the agent open", shut, open)
}

// nameAttempts ask for names of the outside.
func nameAttempts() []*attempt {
	asking := func(id, words, transport string, kinds []string, server func(*view) string) *attempt {
		return &attempt{id: id, words: words, plan: targets("dns", func(v *view) (list []string, why string) {
			for _, k := range kinds {
				list = append(list, strings.Join([]string{transport, net.JoinHostPort(server(v), "53"), k, v.token + "-" + strings.ToLower(k) + ".probe.example"}, " "))
			}
			return list, ""
		}), judge: judgeNames}
	}
	own := func(v *view) string { return v.resolver() }
	engines := func(*view) string { return "127.0.0.11" }
	return []*attempt{
		asking("dns-udp", "outside names of ten types, at the bottle's resolver by UDP", "udp", []string{"A", "AAAA", "TXT", "MX", "NS", "CNAME", "SRV", "NULL", "HTTPS", "ANY"}, own),
		asking("dns-tcp", "outside names of seven types there by TCP", "tcp", []string{"A", "TXT", "SOA", "PTR", "SVCB", "NAPTR", "DNSKEY"}, own),
		notGVisor(only(container, asking("dns-engine-udp", "outside names of four types, at the engine's resolver by UDP", "udp", []string{"A", "TXT", "HTTPS", "NULL"}, engines))),
		notGVisor(only(container, asking("dns-engine-tcp", "outside names of three types there by TCP", "tcp", []string{"AAAA", "TXT", "MX"}, engines))),
		{id: "dns-programs", words: "outside names, as programs ask for them", judge: judgeNames, plan: targets("resolve", func(v *view) ([]string, string) {
			return []string{v.token + "-a.probe.example", v.token + "-b.probe.invalid"}, ""
		})},
		{id: "dns-out", words: "a resolver on the internet", plan: targets("dns", func(v *view) ([]string, string) {
			return []string{"udp " + nobody + ":53 TXT " + v.token + ".probe.example", "tcp " + nobody + ":53 TXT " + v.token + ".probe.example"}, ""
		}), judge: judgeNoPacket},
		{id: "resolvers", words: "resolvers other than the bottle's", plan: fixed("facts", "resolv"), judge: judgeResolvers},
	}
}

// judgeNames wants no record for any name, and a line of the bottle's resolver for
// each: who answers without it has asked somebody else.
func judgeNames(e *evidence, p *plan) (result, seen string) {
	if len(p.report.Seen) == 0 || len(p.report.Seen) != len(p.task.Targets) {
		return Error, notAll
	}
	var words []string
	for _, s := range p.report.Seen {
		name := s.Target[strings.LastIndexByte(s.Target, ' ')+1:]
		line := first(e.logs[e.resolverLog()], func(l audit.Line) bool {
			return l.Event == "dns" && l.Decision == policy.Deny && strings.TrimSuffix(l.Host, ".") == name
		})
		switch {
		case s.Open:
			return Open, s.Target + ": " + s.What
		case line == nil && s.What == wire.ProbeSilence:
			return Error, s.Target + ": nobody answered, and the bottle's resolver was not asked"
		case line == nil:
			return Open, s.Target + ": " + s.What + ", but not by the bottle's resolver, whose audit has no line of it"
		}
		words = append(words, s.What)
	}
	return Held, tally(words) + "; audit: dns " + string(policy.ReasonNameNotAnswered) + " for each"
}

func judgeResolvers(e *evidence, p *plan) (result, seen string) {
	n := 0
	for _, line := range p.report.Facts {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if (f[1] != "127.0.0.11" || e.site.machine != nil) && f[1] != e.site.resolver() {
			return Open, "there is the resolver " + f[1]
		}
		if _, err := netip.ParseAddr(f[1]); err == nil {
			n++
		}
	}
	if n == 0 {
		return Error, "resolv.conf names no resolver"
	}
	return Held, strings.Join(p.report.Facts[:min(len(p.report.Facts), 3)], ", ")
}
