package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// evidence is everything by which attempts are judged.
type evidence struct {
	site *site
	logs map[string][]audit.Line // by component
	link *link                   // what went over a machine's card
}

// judge says what became of a plan.
func (e *evidence) judge(p *plan) (result, seen string) {
	switch {
	case p.user == host:
	case p.died != nil:
		return Error, plain.Line(p.died.Error())
	case p.task.Tool == harvestTool:
	case p.report == nil:
		return Error, "the probe said nothing of it"
	case p.report.Unmade != "":
		return Error, "it could not be made: " + plain.Line(p.report.Unmade)
	}
	result, seen = p.attempt.judge(e, p)
	const most = 300
	if seen = plain.Line(seen); len(seen) > most {
		seen = strings.ToValidUTF8(seen[:most], "") + "…"
	}
	return result, seen
}

// proxyLog is the component that is the agent's proxy.
func (e *evidence) proxyLog() string {
	if e.site.egress != nil {
		return "egressd"
	}
	return "pipelockd"
}

// resolverLog is the component that answers the guest's questions for names.
func (e *evidence) resolverLog() string {
	if e.site.machine != nil {
		return "gateway"
	}
	return e.proxyLog()
}

// judgeProxy is for what the agent's proxy must refuse: its audit denies it, and
// neither it nor the proxy behind it has let anything with the token pass.
func judgeProxy(e *evidence, p *plan) (result, seen string) {
	for component := range places {
		if l := allowed(e.logs[component], p.token); l != nil {
			return Open, component + " let it through: " + show(l)
		}
	}
	return e.refusedBy(p, e.proxyLog())
}

// judgeSecret is for what pipelockd must refuse, wherever it stands.
func judgeSecret(e *evidence, p *plan) (result, seen string) {
	if l := allowed(e.logs["pipelockd"], p.token); l != nil {
		return Open, "pipelockd let it through: " + show(l)
	}
	return e.refusedBy(p, "pipelockd")
}

// refusedBy finds the line by which a component refused what was said, by the id
// in its answer, by the token, or by its place behind the attempt's mark.
func (e *evidence) refusedBy(p *plan, component string) (result, seen string) {
	answer := lastOf(p.report.Web)
	for _, a := range p.report.Web {
		if succeeded(a, p.task.Web) {
			return Open, fmt.Sprintf("it was answered with %d", a.Status)
		}
	}
	lines := e.logs[component]
	deny := first(lines, func(l audit.Line) bool {
		return l.Decision == policy.Deny && (answer.RequestID != "" && l.RequestID == answer.RequestID || carries(l, p.token)) && !strings.Contains(l.Host, markSuffix) && !strings.Contains(l.Path, markSuffix)
	})
	if deny == nil {
		behind := window(lines, p.token)
		deny = first(behind, func(l audit.Line) bool { return l.Decision == policy.Deny })
		if l := first(behind, func(l audit.Line) bool { return l.Decision == policy.Allow && l.Event != "connect" }); l != nil {
			return Open, component + " let it through: " + show(l)
		}
	}
	if deny == nil {
		return Error, "nothing shows that it was refused: the audit of " + component + " has no line of it; " + describe(answer)
	}
	return Held, describe(answer) + "; audit: " + show(deny)
}

func lastOf(all []wire.ProbeAnswer) wire.ProbeAnswer {
	if len(all) == 0 {
		return wire.ProbeAnswer{Error: "no answer"}
	}
	return all[len(all)-1]
}

// succeeded reports whether an answer says that an attempt got what it wanted. A
// tunnel is what it wanted where it says nothing in it.
func succeeded(a wire.ProbeAnswer, w *wire.ProbeWeb) bool {
	if a.Reason != "" || a.Status/100 != 2 && a.Status != 101 || strings.Contains(a.Body, "ERR bottle:") {
		return false
	}
	return a.Stage == "answer" || a.Stage == "connect" && !w.TLS
}

func describe(a wire.ProbeAnswer) string {
	switch {
	case a.Stage == "tls":
		return "the handshake was refused"
	case a.Status == 0:
		return a.Error
	case a.Reason != "":
		return fmt.Sprintf("%d %s", a.Status, a.Reason)
	}
	return fmt.Sprint(a.Status)
}

// show is an audit line in a few words.
func show(l *audit.Line) string {
	parts := []string{l.Event}
	for _, s := range []string{string(l.Reason), l.Method, l.Host + l.Path} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// noWay are the kernel's words for packets that were never made: it has no route, no
// address or no such protocol, or forbids it.
var noWay = []string{"ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EPERM", "EACCES", "EPROTONOSUPPORT", "ENOSYS", "ENODEV", "EOPNOTSUPP", "ESOCKTNOSUPPORT"}

// forbidden are the words for what the kernel has refused to whoever asked, before
// it has looked at the question.
var forbidden = []string{"EPERM", "EACCES", "ENOSYS", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"}

// toNobody are the words for packets that wait for a neighbour who is not there.
var toNobody = []string{"EHOSTUNREACH", wire.ProbeSilence, "sent"}

// judgeNoPacket is for addresses that are not on the link: that no packet was made
// shows that there is no way, and so does that nobody has the address of the
// gateway to take one. An answer that does not come shows nothing by itself.
func judgeNoPacket(e *evidence, p *plan) (result, seen string) {
	if e.site.machine != nil {
		return judgeFlows(e, p)
	}
	who := e.site.gatekeeper()
	fine := noWay
	if who == "" {
		fine = slices.Concat(noWay, toNobody)
	}
	var words []string
	for _, s := range p.report.Seen {
		switch {
		case s.Open && s.What != "sent":
			return Open, s.Target + ": " + s.What
		case !slices.Contains(fine, s.What):
			return Open, fmt.Sprintf("%s: a packet left, %s (%s)", s.Target, who, s.What)
		}
		words = append(words, s.What)
	}
	if len(words) != len(p.task.Targets) {
		return Error, notAll
	}
	if who == "" {
		return Held, tally(words) + "; nobody has the gateway's address"
	}
	return Held, tally(words)
}

// judgeForbidden is for doors of the kernel.
func judgeForbidden(e *evidence, p *plan) (result, seen string) {
	if e.site.ownKernel() {
		return judgeShut(e, p)
	}
	return judgeWords(e, p, forbidden, "the kernel took the call")
}

func judgeWords(_ *evidence, p *plan, fine []string, otherwise string) (result, seen string) {
	if len(p.report.Seen) != len(p.task.Targets) {
		return Error, notAll
	}
	var words []string
	for _, s := range p.report.Seen {
		switch {
		case s.Open:
			return Open, s.Target + ": " + s.What
		case strings.HasPrefix(s.What, "not tried"):
			return Error, s.Target + ": " + s.What
		case !slices.Contains(fine, s.What):
			return Open, fmt.Sprintf("%s: %s (%s)", s.Target, otherwise, s.What)
		}
		words = append(words, s.What)
	}
	return Held, tally(words)
}

// judgeShut is for what must not work, whatever the kernel calls it.
func judgeShut(_ *evidence, p *plan) (result, seen string) {
	if len(p.report.Seen) == 0 || len(p.report.Seen) != len(p.task.Targets) {
		return Error, notAll
	}
	var words []string
	for _, s := range p.report.Seen {
		if s.Open {
			return Open, s.Target + ": " + s.What
		}
		if strings.HasPrefix(s.What, "not tried") {
			return Error, s.Target + ": " + s.What
		}
		words = append(words, s.What)
	}
	return Held, tally(words)
}

// judgeEar is for addresses of this host: what counts is what was heard.
func judgeEar(e *evidence, p *plan) (result, seen string) {
	if how := e.site.ear.said(p.token); how != "" {
		return Open, "the host heard it: " + how
	}
	if why := e.site.local(); why != "" {
		return Error, why
	}
	var words []string
	for _, s := range p.report.Seen {
		if s.Open && s.What == "connected" {
			return Open, s.Target + ": " + s.What
		}
		words = append(words, s.What)
	}
	if len(words) == 0 {
		return Error, "the probe tried nothing"
	}
	return Held, "the host heard nothing; " + tally(words)
}

// notAll is for a report that leaves something out.
const notAll = "the probe did not try them all"

// tally counts equal words.
func tally(words []string) string {
	var order []string
	count := map[string]int{}
	for _, w := range words {
		if count[w]++; count[w] == 1 {
			order = append(order, w)
		}
	}
	var parts []string
	for _, w := range order {
		if count[w] == 1 {
			parts = append(parts, w)
		} else {
			parts = append(parts, fmt.Sprintf("%d × %s", count[w], w))
		}
	}
	return strings.Join(parts, ", ")
}
