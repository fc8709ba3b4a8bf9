package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/meter"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/relay"
	"github.com/bottlesuite/bottle/internal/secretscan"
	"github.com/bottlesuite/bottle/internal/wire"
)

// exchange is one request on its way through.
type exchange struct {
	destination
	path string // for people: masked, without the query
	// cleanPath is the path in its one spelling.
	cleanPath string
	id        string
	started   time.Time
	table     *table
	allowed   *wire.AllowHost
	shown     string // the authority, masked
	// sightings of known values on the way to this host, nil without any.
	sightings *secretscan.Sightings
	allowance *allowance // nil without a budget
	noted     notes
	// leak is a secret in the URL.
	leak *leak
	// exempt are the fields that egressd injected.
	exempt   []string
	decision policy.Decision
	body     *meter.Body // nil until the destination is allowed
	room     share       // for the body
	// failure replaces the decision when what follows it fails. A body is
	// scanned while the transport reads it, so it is set from there, too.
	failure atomic.Pointer[policy.Decision]
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

func (x *exchange) outcome() policy.Decision {
	if f := x.failure.Load(); f != nil {
		return *f
	}
	return x.decision
}

// fail replaces the decision; the first failure is the one that counts.
func (x *exchange) fail(d policy.Decision) { x.failure.CompareAndSwap(nil, &d) }

// shownHost is the authority for people. It is masked once.
func (x *exchange) shownHost() string {
	if x.shown == "" {
		x.shown = masked(x.authority())
	}
	return x.shown
}

// ServeHTTP serves one request, decrypted or plain: judges where it goes, looks
// for secrets, sends it on.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{started: time.Now(), table: s.table.Load()}
	d := s.judge(x, r)
	if d.OK() {
		if denial := s.admit(x, r); denial != nil {
			denial.Rule = d.Rule
			d = *denial
		}
	}
	x.decision = d
	if !d.OK() {
		s.deny(w, x)
		return
	}
	x.body = &meter.Body{ReadCloser: r.Body}
	r.Body = x.body
	if x.allowance != nil {
		r.Body = &spentBody{r.Body, x.allowance}
	}
	x.room = share{of: s.bodies, ctx: r.Context()}
	defer x.room.release()
	if denial := s.scanRequest(w, x, r); denial != nil {
		x.fail(*denial)
		s.deny(w, x)
		return
	}
	if denial := s.Begin(x.entry(0)); denial != nil {
		x.fail(*denial)
		s.deny(w, x)
		return
	}
	s.forward(w, r, x)
}

// admit asks the kill switch and the limits.
func (s *service) admit(x *exchange, r *http.Request) *policy.Decision {
	if denial := s.killedDenial(); denial != nil {
		return denial
	}
	head := len(r.Method) + len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			head += len(name) + len(v) + 4
		}
	}
	return s.limited(x, head)
}

// judge reads the request's head and decides about its destination.
func (s *service) judge(x *exchange, r *http.Request) policy.Decision {
	claim, err := s.relayKey.Verify(r)
	x.id, x.exempt = claim.RequestID, claim.Fields
	if x.id == "" {
		x.id = audit.NewRequestID()
	}
	x.method = masked(r.Method)
	denial := x.locate(r)
	// Looked at first, because a denial for any reason shows the path.
	x.path = clip(r.URL.EscapedPath())
	if x.table.scanning.known {
		x.sightings = s.seen.of(x.host)
	}
	if x.leak = x.scanURL(r.URL.RequestURI()); x.leak != nil {
		x.path = maskedText
	}
	if denial != nil {
		return *denial
	}
	if err != nil && !errors.Is(err, relay.ErrAbsent) {
		return *refuse(policy.ReasonRelayForged, "The request carries a relay header that egressd did not sign for it.")
	}
	if x.cleanPath, denial = judgePath(r.URL.EscapedPath(), r.URL.RawQuery); denial != nil {
		return *denial
	}
	entry, d := x.table.allow.judge(x.destination)
	if !d.OK() {
		return d
	}
	x.allowed = entry
	if denial := judgeUpgrade(r, entry); denial != nil {
		denial.Rule = d.Rule
		return *denial
	}
	removeOurs(r.Header)
	removeOverrides(r.Header)
	return d
}

// locate fills in the destination, which Host, the tunnel and an absolute
// target must agree on.
func (x *exchange) locate(r *http.Request) *policy.Decision {
	t, tunnelled := mitm.TunnelFrom(r.Context())
	if !tunnelled {
		x.scheme = "http"
		if r.URL.Scheme != "http" || r.URL.Host == "" {
			x.host = r.Host
			return refuse(policy.ReasonBadRequest, "This is a proxy; send it CONNECT or an absolute http URL.")
		}
		return x.read(r.URL.Host, r.URL.User != nil)
	}
	x.scheme, x.host, x.port = "https", t.Host, t.Port
	if r.Method == http.MethodConnect || r.URL.IsAbs() || r.URL.Host != "" {
		return refuse(policy.ReasonNestedProxy, "A proxy request was sent inside a tunnel.")
	}
	if !strings.HasPrefix(r.RequestURI, "/") {
		return refuse(policy.ReasonBadRequest, "The request target must be a path.")
	}
	named := destination{scheme: "https"}
	if denial := named.read(r.Host, false); denial != nil {
		return denial
	}
	if named.host != t.Host || named.port != t.Port {
		return refuse(policy.ReasonAuthorityMismatch, "The Host header does not name the host and port of the tunnel.")
	}
	for _, beside := range r.Header["Host"] { // HTTP/2 can have one beside its authority
		if beside != r.Host {
			return refuse(policy.ReasonAuthorityMismatch, "The host beside the authority names another one.")
		}
	}
	return nil
}

// judgeUpgrade allows websocket where the entry does, and nothing else.
func judgeUpgrade(r *http.Request, entry *wire.AllowHost) *policy.Decision {
	up := r.Header["Upgrade"]
	if len(up) == 0 {
		return nil
	}
	if len(up) != 1 || !strings.EqualFold(strings.TrimSpace(up[0]), "websocket") || !entry.WebSocket {
		return refuse(policy.ReasonUpgrade, "This host does not allow a protocol upgrade.")
	}
	if r.Method != http.MethodGet || r.ContentLength != 0 || r.ProtoMajor != 1 {
		return refuse(policy.ReasonBadRequest, "An upgrade to websocket is an HTTP/1.1 GET without a body.")
	}
	return nil
}

// deny answers and records a refused request. What is left of its body is not
// read: the connection ends when that is long.
func (s *service) deny(w http.ResponseWriter, x *exchange) {
	d := x.outcome()
	p := wire.NewProblem(d, x.id, x.method, x.shownHost(), x.path)
	p.Ask = ask(d, x.destination)
	s.Record(x.entry(p.Status))
	p.Write(w)
}
