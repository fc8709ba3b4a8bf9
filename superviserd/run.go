package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Run is the whole program: it interprets args and works until ctx ends.
func Run(ctx context.Context, args, env []string, stdio daemon.Stdio) error {
	return daemon.Run(ctx, daemon.Spec[wire.Superviserd]{
		Name:     "superviserd",
		Summary:  "the MCP server by which an agent asks its operator",
		Admin:    "127.0.0.1:9904",
		Basics:   basics,
		Validate: validate,
		Check:    check,
		New:      newService,
	}, args, env, stdio)
}

func basics(c *wire.Superviserd) daemon.Basics {
	return daemon.Basics{Version: c.Version, Bottle: c.Bottle, Admin: c.Listen.Admin, Audit: c.Audit}
}

// maxWait bounds how long a call may be kept waiting; clients give up earlier.
const maxWait = 10 * time.Minute

func validate(doc *wire.Doc, c *wire.Superviserd) error {
	for _, f := range []struct{ field, value string }{
		{"listen.mcp", c.Listen.MCP}, {"queue.proposals", c.Queue.Proposals}, {"queue.decisions", c.Queue.Decisions},
	} {
		if f.value == "" {
			return doc.Errorf(f.field, "%s is missing", f.field)
		}
	}
	if c.Queue.Proposals == c.Queue.Decisions {
		return doc.Errorf("queue.decisions", "queue.decisions must be another directory than queue.proposals: the one is the agent's to fill, the other the operator's")
	}
	if len(c.Hosts) == 0 {
		return doc.Errorf("hosts", "hosts is missing: name the hosts by which clients call this server, such as supervise")
	}
	for i, h := range c.Hosts {
		if h != strings.ToLower(h) || h == "" || strings.ContainsAny(h, ":/ ") {
			return doc.Errorf(fmt.Sprintf("hosts[%d]", i), "hosts[%d] must be a name in lower case without a port, not %q", i, h)
		}
	}
	if time.Duration(c.Wait) > maxWait {
		return doc.Errorf("wait", "wait is longer than %s, which no client has the patience for", maxWait)
	}
	return nil
}

// check says whether a request with that URL's host would be listened to.
func check(c *wire.Superviserd, _, rawURL string) (policy.Decision, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return policy.Decision{}, fmt.Errorf("%q is not an http URL", rawURL)
	}
	return judgeHost(c.Hosts, u.Host), nil
}

// judgeHost decides about a Host header.
func judgeHost(hosts []string, authority string) policy.Decision {
	host := authority
	if h, _, err := net.SplitHostPort(authority); err == nil {
		host = h
	}
	if i := slices.Index(hosts, strings.ToLower(host)); i >= 0 {
		return policy.Allowed(fmt.Sprintf("hosts[%d]", i))
	}
	return policy.Denied(policy.ReasonAuthorityMismatch, "", "This server is not called by that name.")
}
