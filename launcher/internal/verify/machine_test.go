package verify

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/gateway"
)

// machineRoom is a bottle with a virtual machine, as far as frames are made.
func machineRoom() *site {
	s := room()
	a := netip.MustParseAddr
	s.ear = &ear{port: 45678}
	s.machine = &vmachine{
		gateway: a("10.213.1.1"), guest: a("10.213.1.3"), served: []netip.Addr{a("10.213.1.1"), a("10.213.1.2")}, mtu: 65520,
		gatewayMAC: mac{0x52, 1}, guestMAC: mac{0x52, 2}, counted: map[string]uint64{},
	}
	return s
}

// Of a machine whose driver is another one nothing is tried: what was found would prove
// nothing. The words are those with which a launch records what runs its machine.
func TestJudges(t *testing.T) {
	for monitor, want := range map[string]string{
		"": "", "qemu, with KVM": "", "qemu": "",
		"smolvm, 1.14.0 with KVM": "a network stack of smolvm's own", "unixgram, vfkit": "neither is Linux's", "qemux": `does not know the driver "qemux"`,
	} {
		err := Judges(monitor)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", monitor, err)
		}
		if err == nil {
			continue
		}
		onCard := func(context.Context, []string, engine.Streams) error { t.Error("something was tried"); return nil }
		if _, err := Run(t.Context(), Subject{Runtime: monitor, OnCard: onCard}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a machine of %q is verified: %v", monitor, err)
		}
	}
}

// TestFramesAreDenied holds what is put on a card against the guard that must deny it:
// each frame, for the cause that its attempt says.
func TestFramesAreDenied(t *testing.T) {
	s := machineRoom()
	m := s.machine
	guard := gateway.Guard{
		MTU: m.mtu, Guest: m.guest, Gateway: m.gateway, GuestMAC: gateway.MAC(m.guestMAC), GatewayMAC: gateway.MAC(m.gatewayMAC),
		Served: map[netip.Addr]bool{m.gateway: true, m.served[1]: true},
		Ports:  map[netip.AddrPort]bool{netip.AddrPortFrom(m.served[1], 9099): true, netip.AddrPortFrom(m.gateway, 53): true},
	}
	v := &view{site: s, token: token, user: root}
	n := 0
	for _, a := range linkAttempts() {
		task, why := a.plan(v)
		if why != "" || len(task.Link.Frames) == 0 {
			t.Errorf("%s is not made: %s", a.id, why)
			continue
		}
		for i, f := range task.Link.Frames {
			verdict, flow := guard.Judge(f)
			if string(flow.Cause) != a.cause || (verdict == gateway.Pass) != (a.cause == "") {
				t.Errorf("%s, frame %d: %v %+v, want %q", a.id, i, verdict, flow, a.cause)
			}
			n++
		}
	}
	t.Logf("%d frames", n)
	f := &framer{view: v, vmachine: m, port: 40001}
	if verdict, flow := guard.Judge(f.ip(f.syn(m.guest))); verdict != gateway.Pass { // of which the others are variations
		t.Errorf("an honest connection: %v %+v", verdict, flow)
	}
}

// TestJudgeFrames: counted, told, unanswered and unheard, or not held.
func TestJudgeFrames(t *testing.T) {
	s := machineRoom()
	a := byID(t, "frame-icmp")
	v := &view{site: s, token: token, user: root}
	task, _ := a.plan(v)
	seen := make([]wire.ProbeSeen, len(task.Link.Frames))
	for i := range seen {
		seen[i] = wire.ProbeSeen{Open: true, What: "sent"}
	}
	told := []audit.Line{{Event: "flow", Decision: policy.Deny, Reason: policy.ReasonFlowNotForwarded, Method: "icmp"}}
	all := uint64(len(seen))
	f := &framer{view: v, vmachine: s.machine, port: portOf(token)}
	echo := ether(s.machine.guestMAC, s.machine.gatewayMAC, typeIPv4, packet{src: s.machine.gateway, dst: s.machine.guest}.icmp(0, 0, 0, 1, 0, 1).bytes())
	reset := ether(s.machine.guestMAC, s.machine.gatewayMAC, typeIPv4, packet{src: documentation, dst: s.machine.guest}.tcp(443, f.port, flagRST|flagACK).bytes())
	accepted := ether(s.machine.guestMAC, s.machine.gatewayMAC, typeIPv4, packet{src: documentation, dst: s.machine.guest}.tcp(443, f.port, flagSYN|flagACK).bytes())
	stranger := ether(s.machine.guestMAC, s.machine.gatewayMAC, typeARP, arp(2, strange, documentation, s.machine.guestMAC, s.machine.guest))
	own := ether(s.machine.guestMAC, s.machine.gatewayMAC, typeARP, arp(2, s.machine.gatewayMAC, s.machine.gateway, s.machine.guestMAC, s.machine.guest))
	for name, c := range map[string]struct {
		counted uint64
		logs    []audit.Line
		heard   [][]byte
		seen    []wire.ProbeSeen
		want    string
	}{
		"held":                      {all, told, [][]byte{reset, own, {1, 2}}, seen, Held},
		"one was not counted":       {all - 1, told, nil, seen, Open},
		"the audit does not tell":   {all, nil, nil, seen, Error},
		"answered by ICMP":          {all, told, [][]byte{echo}, seen, Open},
		"a connection":              {all, told, [][]byte{accepted}, seen, Open},
		"a card of somebody":        {all, told, [][]byte{stranger}, seen, Open},
		"one was not tried":         {all, told, nil, seen[1:], Error},
		"the card did not take one": {all, told, nil, append([]wire.ProbeSeen{{What: "EPERM"}}, seen[1:]...), Error},
	} {
		s.machine.counted["icmp"] = c.counted
		p := &plan{attempt: a, user: root, token: token, task: task, report: &wire.ProbeReport{Seen: c.seen, Heard: c.heard}}
		e := &evidence{site: s, logs: map[string][]audit.Line{"gateway": c.logs}, link: linkOf([]*plan{p})}
		if got, why := e.judge(p); got != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got, why, c.want)
		}
	}
	s.ear.note("UDP", &net.UDPAddr{}, []byte(token))
	p := &plan{attempt: a, user: root, token: token, task: task, report: &wire.ProbeReport{Seen: seen}}
	e := &evidence{site: s, logs: map[string][]audit.Line{"gateway": told}, link: linkOf([]*plan{p})}
	if got, _ := e.judge(p); got != Open {
		t.Errorf("what the host heard is %s", got)
	}
}

// TestJudgeFlows: a refusal that the gateway has not written down proves nothing.
func TestJudgeFlows(t *testing.T) {
	s := machineRoom()
	line := func(host string) audit.Line {
		return audit.Line{Event: "flow", Decision: policy.Deny, Reason: policy.ReasonFlowNotForwarded, Host: host}
	}
	for name, c := range map[string]struct {
		what string
		open bool
		logs []audit.Line
		want string
	}{
		"refused and told":   {"ECONNREFUSED", false, []audit.Line{line("203.0.113.53:443")}, Held},
		"told of another":    {"ECONNREFUSED", false, []audit.Line{line("203.0.113.53:80")}, Error},
		"no packet was made": {"ENETUNREACH", false, nil, Held},
		"connected":          {"connected", true, []audit.Line{line("203.0.113.53:443")}, Open},
	} {
		p := &plan{attempt: byID(t, "tcp-out"), user: agent, token: token, task: wire.ProbeTask{Targets: []string{"203.0.113.53:443"}},
			report: &wire.ProbeReport{Seen: []wire.ProbeSeen{{Target: "203.0.113.53:443", Open: c.open, What: c.what}}}}
		e := &evidence{site: s, logs: map[string][]audit.Line{"gateway": c.logs}, link: &link{}}
		if got, why := e.judge(p); got != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got, why, c.want)
		}
	}
}

// TestElsewhere: what makes sense with one backend is not made with another.
func TestElsewhere(t *testing.T) {
	inMachine, inContainer := machineRoom(), room()
	for _, a := range attempts() {
		if a.in == container && a.elsewhere(inMachine) == "" || a.in == machine && a.elsewhere(inContainer) == "" || a.elsewhere(inMachine) != "" && a.elsewhere(inContainer) != "" {
			t.Errorf("%s is for %q", a.id, a.in)
		}
	}
}

// FuzzAnswer: frames come from a machine that may be anybody's.
func FuzzAnswer(f *testing.F) {
	m := machineRoom().machine
	f.Add(ether(m.guestMAC, m.gatewayMAC, typeIPv4, packet{src: m.gateway, dst: m.guest}.tcp(443, 40001, flagSYN|flagACK).bytes()), uint16(40001))
	f.Add(ether(m.guestMAC, m.gatewayMAC, typeARP, arp(2, strange, documentation, m.guestMAC, m.guest)), uint16(1))
	f.Fuzz(func(t *testing.T, frame []byte, port uint16) {
		what := m.answer(frame, port)
		if len(frame) >= 14 && what == "" && binary.BigEndian.Uint16(frame[12:]) == typeIPv6 {
			t.Error("IPv6 is no answer")
		}
		e := &evidence{site: &site{machine: m, ear: &ear{}}, link: &link{heard: [][]byte{frame}}}
		p := &plan{token: token, task: wire.ProbeTask{Link: &wire.ProbeLink{}}, report: &wire.ProbeReport{}}
		_, _ = judgeLease(e, p)
	})
}
