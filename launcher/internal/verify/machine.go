package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// vmachine is what is known from outside of a guest that is a virtual machine: its
// own end of the link, the gateway's, and the ports behind it.
type vmachine struct {
	gateway, guest       netip.Addr
	gatewayMAC, guestMAC mac
	// served are the addresses that the gateway answers for.
	served []netip.Addr
	mtu    int
	// forwards are the ports that the machine may reach.
	forwards []string
	// counted is what the gateway counted while frames were sent, by cause; nil
	// when it does not tell.
	counted map[string]uint64
}

// surveyMachine reads the gateway's configuration.
func (s *site) surveyMachine() (*vmachine, error) {
	if _, ok := s.containers["gateway"]; !ok {
		return nil, fmt.Errorf("%s has no gateway, which its machine would be attached to", s.Identity)
	}
	var c wire.Gateway
	if ok, err := s.config(filepath.Join("gateway", "gvproxy"), &c); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("%s has no configuration of a gateway", s.Identity), err)
	}
	m := &vmachine{mtu: c.Stack.MTU}
	var errs []error
	address := func(text string) netip.Addr {
		a, err := netip.ParseAddr(text)
		errs = append(errs, err)
		return a
	}
	hardware := func(text string) (h mac) {
		a, err := net.ParseMAC(text)
		errs = append(errs, err)
		copy(h[:], a)
		return h
	}
	m.gateway, m.guest = address(c.Stack.GatewayIP), address(c.Bottle.Guest)
	m.gatewayMAC, m.guestMAC = hardware(c.Stack.GatewayMacAddress), hardware(c.Stack.DHCPStaticLeases[c.Bottle.Guest])
	m.served = []netip.Addr{m.gateway}
	for _, a := range c.Stack.GatewayVirtualIPs {
		m.served = append(m.served, address(a))
	}
	for _, f := range c.Bottle.Forwards {
		m.forwards = append(m.forwards, f.Listen)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("the configuration of the gateway cannot be understood: %w", err)
	}
	return m, nil
}

// linkTool is the probe's for frames on the card of a machine.
const linkTool = "link"

// onCard has the probe put frames on the machine's card, when nothing else of the
// probe's runs any more: what the gateway counts meanwhile is theirs.
func (p *installed) onCard(ctx context.Context, plans []*plan) error {
	var list []*plan
	for _, pl := range plans {
		if pl.task.Tool == linkTool {
			list = append(list, pl)
		}
	}
	if len(list) == 0 {
		return nil
	}
	before, err := p.site.gatewayCounts(ctx)
	if err == nil {
		err = p.runBy(ctx, p.site.OnCard, list, false)
	}
	settled(ctx)
	after, aerr := p.site.gatewayCounts(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err = errors.Join(err, aerr); err != nil {
		for _, pl := range list {
			pl.died = err
		}
		return nil
	}
	counted := map[string]uint64{}
	for name, n := range after {
		if cause, ok := strings.CutPrefix(name, "frames:"); ok {
			counted[cause] = n - before[name]
		}
	}
	p.site.machine.counted = counted
	return nil
}

// gatewayCounts are the gateway's counters.
func (s *site) gatewayCounts(ctx context.Context) (map[string]uint64, error) {
	out, err := s.Engine.Status(ctx, strings.TrimPrefix(s.containers["gateway"].Name, "/"), binaries["gateway"])
	var st wire.Status
	if err == nil {
		err = json.Unmarshal(out, &st)
	}
	if err != nil {
		return nil, fmt.Errorf("the gateway does not tell what it has counted: %w", err)
	}
	return st.Counters, nil
}

// judgeFlows is for connections and datagrams to where the gateway leads nobody: it
// must have written down that it denied each, unless the guest's kernel made no
// packet.
func judgeFlows(e *evidence, p *plan) (result, seen string) {
	var words []string
	for _, s := range p.report.Seen {
		if s.Open && s.What != "sent" {
			return Open, s.Target + ": " + s.What
		}
		words = append(words, s.What)
		if isNoWay(s.What) {
			continue
		}
		to := s.Target
		if f := strings.Fields(s.Target); len(f) > 1 { // a question to a resolver
			to = f[1]
		}
		if e.deniedFlow(to) == nil {
			return Error, s.Target + ": " + s.What + ", and the gateway's audit has no line of it"
		}
	}
	if len(words) != len(p.task.Targets) {
		return Error, notAll
	}
	return Held, tally(words) + "; audit: flow " + string(policy.ReasonFlowNotForwarded) + " for each"
}

// deniedFlow is the line by which the gateway refused what went to a place.
func (e *evidence) deniedFlow(to string) *audit.Line {
	return first(e.logs["gateway"], func(l audit.Line) bool {
		return l.Event == "flow" && l.Decision == policy.Deny && l.Reason == policy.ReasonFlowNotForwarded && l.Host == to
	})
}

// link is what went over a machine's card.
type link struct {
	sent  map[string]uint64 // frames, by the cause for which they must be dropped
	heard [][]byte
}

func linkOf(plans []*plan) *link {
	l := &link{sent: map[string]uint64{}}
	for _, p := range plans {
		if p.task.Tool == linkTool && p.report != nil {
			l.sent[p.attempt.cause] += uint64(len(p.task.Link.Frames))
			l.heard = append(l.heard, p.report.Heard...)
		}
	}
	return l
}

// judgeFrames is for frames that the gateway must drop: it has counted each, its
// audit says why, nobody answered, and the host heard nothing.
func judgeFrames(e *evidence, p *plan) (result, seen string) {
	if result, seen := judgeAnswers(e, p); result != Held {
		return result, seen
	}
	m, cause := e.site.machine, p.attempt.cause
	if counted, sent := m.counted[cause], e.link.sent[cause]; counted < sent {
		return Open, fmt.Sprintf("the gateway has denied %d of %d frames for being %q", counted, sent, cause)
	}
	line := first(e.logs["gateway"], func(l audit.Line) bool {
		return l.Event == "flow" && l.Decision == policy.Deny && l.Method == cause
	})
	if line == nil {
		return Error, "the gateway's audit has no line of " + cause
	}
	return Held, fmt.Sprintf("%d frames denied, none answered; audit: %s", len(p.task.Link.Frames), show(line))
}

// judgeAnswers is for frames of which the gateway may take some: none has an answer
// but a refusal.
func judgeAnswers(e *evidence, p *plan) (result, seen string) {
	if e.site.machine == nil || p.task.Link == nil {
		return Error, "there is no card of a machine's"
	}
	if how := e.site.ear.said(p.token); how != "" {
		return Open, "the host heard it: " + how
	}
	if len(p.report.Seen) != len(p.task.Link.Frames) {
		return Error, notAll
	}
	for _, s := range p.report.Seen {
		if !s.Open {
			return Error, "the card did not take " + s.Target + ": " + s.What
		}
	}
	for _, frame := range e.link.heard {
		if what := e.site.machine.answer(frame, portOf(p.token)); what != "" {
			return Open, "it was answered with " + what
		}
	}
	return Held, fmt.Sprintf("%d frames, none answered", len(p.task.Link.Frames))
}

// isNoWay reports whether a word says that no packet was made.
func isNoWay(what string) bool {
	return slices.Contains(noWay, what)
}
