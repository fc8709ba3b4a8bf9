package main

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"github.com/elazarl/goproxy"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/egress"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// newFront returns the handler of the proxy port. goproxy takes CONNECT and
// hands the raw connection to the tunnel server; its own interception, CA and
// dialling are never reached. Plain HTTP goes the way of decrypted requests.
func (s *service) newFront() http.Handler {
	p := goproxy.NewProxyHttpServer()
	p.Tr = &http.Transport{Proxy: nil, DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	p.ConnectDial = nil
	p.Logger = discard{}
	p.OnRequest().HandleConnectFunc(s.connect)
	// The last handler: what no handler took would be tunnelled blindly.
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return goproxy.RejectConnect, host
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			p.ServeHTTP(mitm.KeepEarly(w), r)
		case r.URL.Scheme == "http" && r.URL.Host == ownHost:
			s.introspect(w, r)
		case r.URL.IsAbs() && r.URL.Scheme == "http":
			s.ServeHTTP(w, r)
		default:
			s.deny(w, s.begin(), egress.Request{Method: r.Method, Host: clip(r.Host), Path: clip(r.URL.Path)},
				policy.Denied(policy.ReasonBadRequest, "", "This is a proxy; send it CONNECT or an absolute http URL."))
		}
	})
}

// connect decides about a tunnel by its host and port. What is said inside it
// is judged request by request.
func (s *service) connect(_ string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
	authority := ctx.Req.RequestURI
	host, port, err := route.SplitAuthority(authority, "")
	d := policy.Allowed("")
	switch {
	case err != nil:
		d = policy.Denied(policy.ReasonBadAuthority, "", "The destination is refused: "+err.Error()+".")
	case !s.policy.Load().table.Host(host, port):
		d = policy.Denied(policy.ReasonHostNotAllowed, "", "No route allows "+net.JoinHostPort(host, port)+".")
	}
	if d.OK() {
		s.Count("tunnels")
		t := mitm.Tunnel{Host: host, Port: port}
		return &goproxy.ConnectAction{Action: goproxy.ConnectHijack, Hijack: func(_ *http.Request, c net.Conn, _ *goproxy.ProxyCtx) {
			s.tunnels.Accept(c, t)
		}}, authority
	}
	ctx.Resp = s.refuseConnect(d, authority, host, port)
	return goproxy.RejectConnect, authority
}

// refuseConnect records a refused tunnel and builds its response.
func (s *service) refuseConnect(d policy.Decision, authority, host, port string) *http.Response {
	id := audit.NewRequestID()
	s.Record(audit.Entry{
		Event: "connect", Decision: d.Verdict, Reason: d.Reason, Detail: d.Detail,
		Method: http.MethodConnect, Host: masked(clip(authority)), Status: http.StatusForbidden, RequestID: id,
	})
	p := wire.NewProblem(d, id, http.MethodConnect, clip(authority), "")
	if d.Reason == policy.ReasonHostNotAllowed {
		p.Ask = egress.Ask(d, egress.Request{Method: http.MethodGet, Host: host, Port: port, Path: "/"})
	}
	return p.Response()
}

// serverNameRefused records a handshake for another host than the tunnel's.
func (s *service) serverNameRefused(t mitm.Tunnel, serverName string) {
	s.Record(audit.Entry{
		Event: "tls", Decision: policy.Deny, Reason: policy.ReasonAuthorityMismatch,
		Detail: "TLS server name " + strconv.QuoteToASCII(clip(serverName)), Host: t.Authority(),
		Method: http.MethodConnect, RequestID: audit.NewRequestID(),
	})
}

// requestUnread records a request that broke HTTP so that nobody read it.
func (s *service) requestUnread(t mitm.Tunnel) {
	e := audit.Entry{
		Event: "request", Decision: policy.Deny, Reason: policy.ReasonBadRequest,
		Detail: "The request broke HTTP/1.1 or did not arrive whole.", RequestID: audit.NewRequestID(),
	}
	if t.Host != "" {
		e.Host = t.Authority()
	}
	s.Record(e)
}

// clip bounds what a client can make a log line or a response hold.
func clip(s string) string {
	if len(s) > 256 {
		return s[:256] + "…"
	}
	return s
}

// discard silences goproxy.
type discard struct{}

func (discard) Printf(string, ...any) {}
