package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/egressd/internal/scrub"
	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/egress"
	"github.com/bottlesuite/bottle/internal/gitpush"
	"github.com/bottlesuite/bottle/internal/meter"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/own"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// ServeHTTP serves one request, decrypted or plain: reads it, judges it, sends
// it on.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := s.begin()
	rd, denial := s.readRequest(r)
	if denial != nil {
		s.deny(w, started, rd, *denial)
		return
	}
	p := s.policy.Load()
	d, route := egress.Judge(p.table, rd, r.Header)
	if d.OK() && route.Limits != nil && r.ContentLength > int64(route.Limits.MaxRequestBytes) && route.Limits.MaxRequestBytes > 0 {
		d = policy.Denied(policy.ReasonBodyTooLarge, d.Rule, "The body is larger than the route's limit of "+route.Limits.MaxRequestBytes.String()+".")
	}
	if d.OK() && gitpush.RefuseLFS(r, rd.Path) {
		d = policy.Denied(policy.ReasonGitPush, "", gitpush.Detail)
	}
	if !d.OK() {
		s.deny(w, started, rd, d)
		return
	}
	line := started.entry(rd, d, 0)
	if denial := s.Begin(line); denial != nil {
		s.deny(w, started, rd, *denial)
		return
	}
	s.forward(w, r, &exchange{
		Request: rd, decision: d, route: route, started: started, line: line,
		credentials: p.credentials, scrub: p.scrubSet(route),
	})
}

// readRequest reads a request within its tunnel, or a plain one.
func (s *service) readRequest(r *http.Request) (egress.Request, *policy.Decision) {
	t, tunnelled := mitm.TunnelFrom(r.Context())
	scheme, authority, target := "https", r.Host, r.RequestURI
	if !tunnelled {
		scheme, target = "http", r.URL.RequestURI()
	}
	fallback := egress.Request{Scheme: scheme, Host: t.Host, Port: t.Port, Method: r.Method, Path: clip(target)}
	if tunnelled && (r.Method == http.MethodConnect || r.URL.IsAbs() || r.URL.Host != "") {
		return fallback, denied(policy.ReasonNestedProxy, "A proxy request was sent inside a tunnel.")
	}
	rd, denial := egress.Read(scheme, authority, r.Method, target)
	if denial != nil {
		if rd.Host == "" {
			return fallback, denial
		}
		rd.Path = clip(target)
		return rd, denial
	}
	if tunnelled && (rd.Host != t.Host || rd.Port != t.Port) {
		return rd, denied(policy.ReasonAuthorityMismatch, "The Host header does not name the host of the tunnel.")
	}
	if denial := rd.ReadFraming(r.Header); denial != nil {
		return rd, denial
	}
	return rd, nil
}

func denied(reason policy.Reason, detail string) *policy.Decision {
	d := policy.Denied(reason, "", detail)
	return &d
}

// exchange is an allowed request on its way.
type exchange struct {
	egress.Request
	decision    policy.Decision
	route       *wire.Route
	credentials credentials
	started     start
	line        audit.Entry // what is recorded at the end, as far as it is known
	body        *meter.Body // as the agent sends it
	// failure replaces the decision when the exchange fails.
	failure *policy.Decision
	// scrub is what the response is scrubbed of, echoes how often it was.
	scrub  *scrub.Set
	echoes atomic.Int64
}

// placeholdersPass reports whether the request's body may hold placeholders.
func (x *exchange) placeholdersPass() bool {
	if pass := x.route.BodyPlaceholders; pass != nil {
		return *pass
	}
	return wire.IsModelHost(x.Host)
}

type exchangeKey struct{}

var errCredential = errors.New("the route's credential is missing")

// forward sends the request on and its response back, streaming both.
func (s *service) forward(w http.ResponseWriter, r *http.Request, x *exchange) {
	counted := &meter.Response{ResponseWriter: mitm.KeepEarly(w), Interim: x.scrubHeader}
	patient, end := mitm.Patient(w, r)
	defer end()
	body := &meter.Body{ReadCloser: patient}
	r.Body, x.body = body, body
	if x.route.Limits != nil && x.route.Limits.MaxRequestBytes > 0 {
		r.Body = http.MaxBytesReader(counted, r.Body, int64(x.route.Limits.MaxRequestBytes))
	}
	defer func() {
		e := x.line
		d, detail := x.outcome()
		e.Decision, e.Reason, e.Rule, e.Detail = d.Verdict, d.Reason, d.Rule, detail
		e.Status, e.BytesIn, e.BytesOut = counted.Status, body.Bytes(), counted.Bytes
		e.Duration = time.Since(x.started.at)
		s.Record(e)
	}()
	ctx, cancel := x.lifetime(context.WithValue(r.Context(), exchangeKey{}, x))
	defer cancel()
	r = r.WithContext(ctx)
	if err := x.guardBody(r); err != nil {
		s.failed(counted, r, err)
		return
	}
	s.proxy.ServeHTTP(counted, r)
}

// lifetime ends what a route opened with the route, upgraded connections too.
func (x *exchange) lifetime(ctx context.Context) (context.Context, context.CancelFunc) {
	if x.route.Expires.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, x.route.Expires.Time)
}

// primed is how long a body may be to be read before its request is sent.
const primed = 64 << 10

// guardBody keeps placeholders out of the request's body. One that stands in a
// short body is found before anything is sent.
func (x *exchange) guardBody(r *http.Request) error {
	if r.ContentLength == 0 || x.placeholdersPass() {
		return nil
	}
	guarded := own.NewBody(r.Body)
	r.Body = guarded
	if r.ContentLength < 0 || r.ContentLength > primed || r.Header.Get("Expect") != "" {
		return nil
	}
	return guarded.Prime(int(r.ContentLength))
}

// newProxy builds the forwarding half. Every request carries its exchange.
func (s *service) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        s.rewrite,
		Transport:      checked{s.transport},
		FlushInterval:  mitm.FlushInterval,
		BufferPool:     &meter.Buffers{},
		ErrorLog:       s.errorLog,
		ModifyResponse: modifyResponse,
		ErrorHandler:   s.failed,
	}
}

// rewrite builds the outgoing request out of the reading, and sets the
// credential last.
func (s *service) rewrite(pr *httputil.ProxyRequest) {
	x := pr.In.Context().Value(exchangeKey{}).(*exchange)
	out := pr.Out
	path, _ := url.PathUnescape(x.Path) // canonical, so it decodes
	out.URL = &url.URL{Scheme: x.Scheme, Host: x.Authority(), Path: path, RawPath: x.Path, RawQuery: x.Query}
	out.Host = x.Authority()
	out.Trailer = nil // a request's trailers could carry fields past the checks
	strip(out.Header)
	if pr.In.Header.Get("User-Agent") == "" {
		out.Header["User-Agent"] = []string{""} // none, rather than Go's own
	}
	if out.Header.Get("Range") != "" && !x.scrub.Empty() {
		out.Header.Set("Accept-Encoding", "identity") // a part of an encoding cannot be decoded
	}
	var injected []string
	if x.route.Auth != nil {
		stripCredentials(out.Header)
		field, ok := x.credentials.inject(out.Header, *x.route.Auth)
		if !ok {
			x.fail(policy.ReasonCredentialGone, "The credential of this route is missing; the operator must provide it.")
			return
		}
		injected = append(injected, field)
		// Halves of a credential, fetched by ranges, could not be recognised.
		out.Header.Del("Range")
		out.Header.Del("If-Range")
	}
	if s.relayKey != nil {
		s.relayKey.Sign(out, x.started.id, injected)
	}
}

// checked refuses to send an exchange that rewrite failed.
type checked struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok && x.failure != nil {
		return nil, errCredential
	}
	return c.next.RoundTrip(r)
}

func (x *exchange) fail(reason policy.Reason, detail string) {
	d := policy.Denied(reason, x.decision.Rule, detail)
	x.failure = &d
}

// failed answers when an allowed request could not be completed.
func (s *service) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := r.Context().Value(exchangeKey{}).(*exchange)
	if x.failure == nil {
		x.classify(err, r.Context().Err() != nil)
	}
	p := wire.NewProblem(*x.failure, x.started.id, x.Method, x.Authority(), x.Path)
	p.Write(w)
}

// deny answers and records a refused request. The body is not read: the
// connection ends when it is long.
func (s *service) deny(w http.ResponseWriter, started start, rd egress.Request, d policy.Decision) {
	p := wire.NewProblem(d, started.id, rd.Method, rd.Authority(), rd.Path)
	p.Ask = egress.Ask(d, rd)
	s.Record(started.entry(rd, d, p.Status))
	p.Write(w)
}
