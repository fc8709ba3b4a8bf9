package explain

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/egress"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/safedial"
	"github.com/bottlesuite/bottle/internal/wire"
)

// allowRoute is the narrowest addition to a bottle's routes that takes a request,
// "" where no addition would. Near is the route that nearly took it. What a
// wildcard allows, which a route for the name would hide, is repeated.
func allowRoute(reason policy.Reason, r egress.Request, near *wire.Route, routes []wire.Route) string {
	add := wire.Route{Host: r.Host, Matches: []wire.Match{{Path: &wire.PathMatch{Exact: r.Path}, Methods: []string{r.Method}}}}
	if r.Port != route.DefaultPort {
		add.Host += ":" + r.Port
	}
	switch reason {
	case policy.ReasonHostNotAllowed, policy.ReasonPathNotAllowed, policy.ReasonMethodNotAllowed:
	default:
		return ""
	}
	if near != nil {
		add.Auth = near.Auth // its host's credential goes with it
	}
	if _, err := route.Validate(add); err != nil {
		return ""
	}
	p, err := change.Apply(change.Policy{Egress: true, Routes: routes}, []wire.Grant{{Route: &add}}, time.Time{})
	if err != nil {
		return ""
	}
	text, err := yaml.Marshal(p.Routes[len(routes):])
	if err != nil {
		return ""
	}
	return "egress:\n  routes:\n" + indent(string(text))
}

// edit is what to set on the route that took a request and refused it after all:
// a further route behind it would not be asked.
func edit(reason policy.Reason, r egress.Request) string {
	switch {
	case reason == policy.ReasonUpgrade && r.Upgrade == "websocket":
		return "websocket: true"
	case reason == policy.ReasonAmbiguousPath && r.Slashes:
		return "encoded_slash: true"
	}
	return ""
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n    ") + "\n"
}

var bareWord = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)

// quoted is a host as YAML takes it in a list.
func quoted(s string) string {
	if bareWord.MatchString(s) {
		return s
	}
	return fmt.Sprintf("%q", s)
}

// takesName reports whether allow_private has an entry for a name.
func takesName(entries []string, host string) bool {
	for _, e := range entries {
		suffix, wildcard := strings.CutPrefix(strings.ToLower(e), "*.")
		if wildcard && strings.HasSuffix(host, "."+suffix) || !wildcard && suffix == host {
			return true
		}
	}
	return false
}

// addressDenial is how pipelockd words it that a name cannot be dialled.
func addressDenial(err error) policy.Decision {
	if address := (*safedial.AddressError)(nil); errors.As(err, &address) {
		return policy.Denied(policy.ReasonAddressForbidden, "", "The name leads to an address that the bottle does not allow: "+address.Error()+".")
	}
	return policy.Denied(policy.ReasonUpstreamUnreachable, "", "The name has no address here: "+err.Error()+".")
}
