package verify

import (
	"fmt"
	"net"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
)

// attempt is one thing that an owner of the guest would try.
type attempt struct {
	id, group, words string
	users            []string
	// in is the one backend where it makes sense, "" for all.
	in string
	// kernel is whether it has no object where the kernel is gVisor's.
	kernel bool
	// cause is the word for which a machine's gateway denies the attempt's frames.
	cause string
	// plan says how to try it here, or why it has no object in this bottle.
	plan func(*view) (wire.ProbeTask, string)
	// judge says what became of it, from a report that is whole.
	judge func(*evidence, *plan) (result, seen string)
}

// Who tries. What is looked at from outside alone is the host's.
const (
	agent = "agent"
	root  = "root"
	host  = "host"
)

var both = []string{root, agent}

// Backends that an attempt may be for.
const (
	container = "container"
	machine   = "machine"
)

// elsewhere says why an attempt has no object in this kind of guest, "" when it has.
func (a *attempt) elsewhere(s *site) string {
	switch {
	case a.in == container && s.machine != nil:
		return "the guest's kernel is its own"
	case a.in == machine && s.machine == nil:
		return "the guest is no virtual machine"
	case a.kernel && s.underGVisor():
		return "the guest's kernel is gVisor's, which answers by itself"
	}
	return ""
}

// only marks an attempt that makes sense with one backend alone.
func only(backend string, a *attempt) *attempt {
	a.in = backend
	return a
}

// Groups, in the order and words of the threat list.
const (
	naming     = "Naming the destination"
	connecting = "Where it really connects"
	reading    = "Reading HTTP twice"
	leaking    = "Leaking through allowed hosts"
	git        = "Git"
	control    = "Control plane"
	infra      = "Infrastructure"
	beneath    = "Beneath a virtual machine"
)

// attempts are all that are known, grouped.
func attempts() []*attempt {
	var all []*attempt
	for _, group := range []struct {
		name string
		list []*attempt
	}{
		{naming, namingAttempts()}, {connecting, connectingAttempts()}, {reading, readingAttempts()}, {leaking, leakingAttempts()},
		{git, gitAttempts()}, {control, controlAttempts()}, {infra, infraAttempts()}, {beneath, machineAttempts()},
	} {
		for _, a := range group.list {
			a.group = group.name
			if a.users == nil {
				a.users = both
			}
			all = append(all, a)
		}
	}
	return all
}

// view is what an attempt sees of the bottle when it is planned.
type view struct {
	*site
	token, user string
}

// mark is the request that marks the beginning of an attempt in a proxy's audit.
func (v *view) mark() []byte {
	authority := v.token + markSuffix + ":443"
	return fmt.Appendf(nil, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", authority, authority)
}

// place is a destination that the bottle allows.
type place struct{ host, port string }

// authority is the place as a Host header names it.
func (p place) authority() string {
	if p.port == "443" {
		return p.host
	}
	return p.host + ":" + p.port
}

// tunnel is the place as a CONNECT names it.
func (p place) tunnel() string { return net.JoinHostPort(p.host, p.port) }

// placeOf turns a host pattern into a destination that it takes.
func placeOf(pattern string) place {
	h, port, ok := strings.Cut(pattern, ":")
	if !ok {
		port = "443"
	}
	if suffix, wild := strings.CutPrefix(h, "*"); wild {
		h = "bottle-verify" + suffix
	}
	return place{strings.ToLower(h), port}
}

// allowedPlaces are the destinations that the agent may open a tunnel to, exact
// names first.
func (v *view) allowedPlaces() (list []place) {
	var patterns []string
	if v.egress != nil {
		for _, r := range v.egress.Routes {
			patterns = append(patterns, r.Host)
		}
	} else {
		for _, a := range v.lock.Allow {
			patterns = append(patterns, a.Host)
		}
	}
	for _, wild := range []bool{false, true} {
		for _, pattern := range patterns {
			p := placeOf(pattern)
			expired := v.egress != nil && !v.routes.Host(p.host, p.port)
			if strings.HasPrefix(pattern, "*") == wild && !expired {
				list = append(list, p)
			}
		}
	}
	return list
}

const noPlace = "the bottle allows no host"

// web is an attempt to say something to the agent's proxy, which the audit must
// show as refused.
func web(id, words string, build func(*view) (*wire.ProbeWeb, string)) *attempt {
	return &attempt{id: id, words: words, plan: func(v *view) (wire.ProbeTask, string) {
		w, why := build(v)
		if why != "" {
			return wire.ProbeTask{}, why
		}
		w.Dial, w.Mark = v.proxy(), v.mark()
		return wire.ProbeTask{Tool: "web", Web: w}, ""
	}, judge: judgeProxy}
}

// connectTo is an attempt to open a tunnel. {t} stands for the token, {h} and {p}
// for an allowed host and its port.
func connectTo(id, words, authority string) *attempt {
	return web(id, words, func(v *view) (*wire.ProbeWeb, string) {
		text, why := v.fill(authority)
		return &wire.ProbeWeb{Connect: []byte(text)}, why
	})
}

// plainly is an attempt to say something to the proxy itself.
func plainly(id, words, send string) *attempt {
	return web(id, words, func(v *view) (*wire.ProbeWeb, string) {
		text, why := v.fill(send)
		return &wire.ProbeWeb{Send: []byte(text)}, why
	})
}

// inside is an attempt to say something in a tunnel to an allowed host.
func inside(id, words, send string) *attempt {
	return web(id, words, func(v *view) (*wire.ProbeWeb, string) { return v.inTunnel(send) })
}

func (v *view) inTunnel(send string) (*wire.ProbeWeb, string) {
	places := v.allowedPlaces()
	if len(places) == 0 {
		return nil, noPlace
	}
	return v.tunnelTo(places[0], send), ""
}

// tunnelTo speaks in a tunnel to a place.
func (v *view) tunnelTo(p place, send string) *wire.ProbeWeb {
	return &wire.ProbeWeb{Connect: []byte(p.tunnel()), TLS: true, Name: p.host, Send: []byte(v.fillFor(p, send))}
}

// fill replaces what stands for the token and for an allowed host.
func (v *view) fill(text string) (string, string) {
	places := v.allowedPlaces()
	if len(places) == 0 {
		if strings.Contains(text, "{h}") || strings.Contains(text, "{a}") || strings.Contains(text, "{p}") {
			return "", noPlace
		}
		places = []place{{}}
	}
	return v.fillFor(places[0], text), ""
}

func (v *view) fillFor(p place, text string) string {
	return strings.NewReplacer("{t}", v.token, "{h}", p.host, "{p}", p.port, "{a}", p.authority()).Replace(text)
}

// only plans an attempt where routes stand, whose reader refuses what it tries.
func onlyRoutes(a *attempt) *attempt {
	plan := a.plan
	a.plan = func(v *view) (wire.ProbeTask, string) {
		if v.egress == nil {
			return wire.ProbeTask{}, "the bottle has no routes, so every path and method of an allowed host may be asked for"
		}
		return plan(v)
	}
	return a
}
