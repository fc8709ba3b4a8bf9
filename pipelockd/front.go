package main

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"github.com/elazarl/goproxy"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// newFront returns the handler of the proxy port. goproxy takes CONNECT and
// hands the raw connection to the tunnel server; its own interception, CA and
// dialling are never reached. Plain HTTP goes the way of decrypted requests.
func (s *service) newFront() http.Handler {
	p := goproxy.NewProxyHttpServer()
	p.Tr = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	p.ConnectDial = nil
	p.Logger = discard{}
	p.OnRequest().HandleConnectFunc(s.connect)
	// The last handler: what no handler took would be tunnelled blindly.
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return goproxy.RejectConnect, host
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			p.ServeHTTP(mitm.KeepEarly(w), r)
			return
		}
		s.ServeHTTP(w, r)
	})
}

// connect decides about a tunnel by its host and port. What is said inside it
// is judged request by request.
func (s *service) connect(_ string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
	authority := ctx.Req.RequestURI
	d := destination{scheme: "https", method: "GET"}
	decision := policy.Decision{}
	if _, _, err := net.SplitHostPort(authority); err != nil {
		decision = *refuse(policy.ReasonBadAuthority, "The destination is refused: CONNECT needs a host and a port.")
	} else if denial := d.read(authority, false); denial != nil {
		decision = *denial
	} else if denial := s.killedDenial(); denial != nil {
		decision = *denial
	} else {
		_, decision = s.table.Load().allow.judge(d)
	}
	id := audit.NewRequestID()
	line := func(status int) audit.Entry {
		return audit.Entry{
			Event: "connect", Decision: decision.Verdict, Reason: decision.Reason, Rule: decision.Rule, Detail: decision.Detail,
			Method: http.MethodConnect, Host: masked(authority), Status: status, RequestID: id,
		}
	}
	if decision.OK() {
		if denial := s.Require(line(http.StatusOK)); denial != nil {
			decision = *denial
		}
	}
	if !decision.OK() {
		s.Record(line(http.StatusForbidden))
		p := wire.NewProblem(decision, id, http.MethodConnect, masked(authority), "")
		p.Ask = ask(decision, d)
		ctx.Resp = p.Response()
		return goproxy.RejectConnect, authority
	}
	t := mitm.Tunnel{Host: d.host, Port: d.port}
	return &goproxy.ConnectAction{Action: goproxy.ConnectHijack, Hijack: func(_ *http.Request, c net.Conn, _ *goproxy.ProxyCtx) {
		s.tunnels.Accept(c, t)
	}}, authority
}

// serverNameRefused records a handshake for another host than the tunnel's.
func (s *service) serverNameRefused(t mitm.Tunnel, serverName string) {
	s.Record(audit.Entry{
		Event: "tls", Decision: policy.Deny, Reason: policy.ReasonAuthorityMismatch,
		Detail: "TLS server name " + strconv.QuoteToASCII(masked(serverName)), Host: t.Authority(),
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

// discard silences goproxy.
type discard struct{}

func (discard) Printf(string, ...any) {}
