package main

import (
	"net/http"
	"net/url"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/wire"
)

// guard lets through what was meant for this server: the Host is one of its
// names, the Origin (which browsers send) is absent or the same, and the path is
// the one that it serves. A page that rebinds its name to us gets nowhere.
func (s *service) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := judgeHost(s.config.Load().Hosts, r.Host)
		if origin := r.Header.Values("Origin"); d.OK() && len(origin) > 0 {
			if u, err := url.Parse(origin[0]); err != nil || len(origin) > 1 || u.Host != r.Host {
				d = policy.Denied(policy.ReasonAuthorityMismatch, "", "The Origin is another one than this server's.")
			}
		}
		if d.OK() && r.URL.Path != "/" && r.URL.Path != "/mcp" {
			d = policy.Denied(policy.ReasonPathNotAllowed, "", "MCP is served at / and nowhere else.")
		}
		if d.OK() {
			next.ServeHTTP(w, r)
			return
		}
		id := audit.NewRequestID()
		host, path := shown(r.Host), shown(r.URL.Path)
		s.Record(audit.Entry{
			Event: "request", Decision: d.Verdict, Reason: d.Reason, Detail: d.Detail,
			Method: shown(r.Method), Host: host, Path: path, Status: http.StatusForbidden, RequestID: id,
		})
		wire.NewProblem(d, id, shown(r.Method), host, path).Write(w)
	})
}

// shown bounds what a client can make a log line hold, and makes it harmless.
func shown(s string) string {
	if len(s) > 256 {
		s = s[:256]
	}
	return queue.Clean(s)
}
