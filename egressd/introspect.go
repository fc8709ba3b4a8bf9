package main

import (
	"net/http"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/egress"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// ownHost is the name under which egressd answers the agent itself. It cannot
// be a route: no certificate authority and no DNS server knows it.
const ownHost = "_egress.local"

// introspect tells the agent what it may reach: GET http://_egress.local/routes
// gives the routes in force in the manifest's own schema, so that they can be
// edited and proposed. They hold the names of tokens, never values.
func (s *service) introspect(w http.ResponseWriter, r *http.Request) {
	started := s.begin()
	rd := egress.Request{Scheme: "http", Host: ownHost, Port: "80", Method: r.Method, Path: clip(r.URL.EscapedPath())}
	d := policy.Allowed("introspection")
	if r.URL.Path != "/routes" {
		d = policy.Denied(policy.ReasonPathNotAllowed, "", "Here is only http://"+ownHost+"/routes.")
	} else if r.Method != http.MethodGet && r.Method != http.MethodHead {
		d = policy.Denied(policy.ReasonMethodNotAllowed, "", "The routes can be read; to change them, ask the operator.")
	}
	if !d.OK() {
		s.deny(w, started, rd, d)
		return
	}
	var doc struct {
		Egress struct {
			Routes []wire.Route `yaml:"routes"`
		} `yaml:"egress"`
	}
	doc.Egress.Routes = s.policy.Load().routes
	body, err := yaml.Marshal(doc)
	if err != nil {
		http.Error(w, "the routes cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // a client that is gone needs no answer
	s.Record(started.entry(rd, d, http.StatusOK))
}
