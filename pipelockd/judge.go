package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// destination is where a request wants to go, in its one spelling.
type destination struct {
	scheme, host, port, method string
}

var defaultPorts = map[string]string{"https": "443", "http": "80"}

// read takes an authority to pieces, or says why it cannot be one.
func (d *destination) read(authority string, hasUser bool) *policy.Decision {
	if hasUser {
		return refuse(policy.ReasonBadAuthority, "The destination is refused: it carries user information.")
	}
	host, port, err := route.SplitAuthority(authority, defaultPorts[d.scheme])
	if err != nil {
		return refuse(policy.ReasonBadAuthority, "The destination is refused: "+err.Error()+".")
	}
	d.host, d.port = host, port
	return nil
}

// authority returns the host, with its port unless that is the scheme's own.
func (d destination) authority() string {
	if d.port == defaultPorts[d.scheme] || d.port == "" {
		return d.host
	}
	return d.host + ":" + d.port
}

// judge looks a destination up. Its only input beside the list is the clock.
func (a *allowlist) judge(d destination) (*wire.AllowHost, policy.Decision) {
	switch d.method {
	case "TRACE", "CONNECT":
		return nil, policy.Denied(policy.ReasonBadRequest, "", "The method "+d.method+" is refused.")
	}
	i, ok := a.hosts.Find(d.host, d.port)
	if !ok {
		return nil, policy.Denied(policy.ReasonHostNotAllowed, "", fmt.Sprintf("The allowlist does not name %s:%s.", masked(d.host), d.port))
	}
	rule := fmt.Sprintf("allow[%d]", i)
	if a.entries[i].Expires.Past(time.Now()) {
		return nil, policy.Denied(policy.ReasonHostNotAllowed, rule, fmt.Sprintf("The allowlist names %s:%s no longer: the entry has expired.", masked(d.host), d.port))
	}
	if d.scheme == "http" && !strings.Contains(a.entries[i].Host, ":") {
		return nil, policy.Denied(policy.ReasonHostNotAllowed, rule, "This host is allowed over https only; plain HTTP needs an entry with its port.")
	}
	return &a.entries[i], policy.Allowed(rule)
}

func refuse(reason policy.Reason, detail string) *policy.Decision {
	d := policy.Denied(reason, "", detail)
	return &d
}

// ask names the MCP tool, with arguments, by which the agent can ask for the
// host that was denied; nil when asking would not help.
func ask(d policy.Decision, to destination) *wire.Ask {
	if d.Reason != policy.ReasonHostNotAllowed || to.host == "" {
		return nil
	}
	host := to.host
	if to.port != route.DefaultPort && to.port != "" {
		host += ":" + to.port
	}
	return &wire.Ask{Tool: wire.ToolPipelock, Arguments: map[string]any{"host": masked(host), "justification": ""}}
}
