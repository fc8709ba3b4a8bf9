package egress

import (
	"fmt"
	"net/http"

	"github.com/bottlesuite/bottle/internal/gitpush"
	"github.com/bottlesuite/bottle/internal/own"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Judge decides about a request. It is pure: a table, a reading and the header
// fields in (nil in a dry run), a decision out, with the route that took the
// request.
func Judge(t *route.Table, r Request, header http.Header) (policy.Decision, *wire.Route) {
	if gitpush.IsPush(r.Path, r.Query) || gitpush.IsLFSWrite(r.Method, r.Path) {
		return policy.Denied(policy.ReasonGitPush, "", gitpush.Detail), nil
	}
	m := t.Match(r.Method, r.Host, r.Port, r.Path, header)
	if m.Reason != "" {
		return policy.Denied(m.Reason, m.Rule, missDetail(m.Reason, r)), nil
	}
	switch {
	case r.Slashes && !m.Route.EncodedSlash:
		return policy.Denied(policy.ReasonAmbiguousPath, m.Rule, "The path holds an encoded slash, which this route does not take."), nil
	case r.Scheme == "http" && m.Route.Auth != nil:
		return policy.Denied(policy.ReasonPlaintextAuth, m.Rule, "This route injects a credential, so it is served over https only."), nil
	case r.Upgrade != "" && (r.Upgrade != "websocket" || !m.Route.WebSocket):
		return policy.Denied(policy.ReasonUpgrade, m.Rule, "This route does not allow a protocol upgrade."), nil
	}
	rules := own.Rules{Auth: m.Route.Auth, Credentialed: m.Credentialed}
	if d := rules.Check(header, r.Path, r.Query); d != nil {
		d.Rule = m.Rule
		return *d, nil
	}
	return policy.Allowed(m.Rule), m.Route
}

func missDetail(reason policy.Reason, r Request) string {
	switch reason {
	case policy.ReasonHostNotAllowed:
		return fmt.Sprintf("No route allows %s.", r.Authority())
	case policy.ReasonMethodNotAllowed:
		return fmt.Sprintf("A route allows this path of %s, but not with %s.", r.Authority(), r.Method)
	default:
		return fmt.Sprintf("No route allows this path of %s.", r.Authority())
	}
}

// Ask names the MCP tool, with arguments, by which the agent can ask for what
// was denied; nil when asking would not help.
func Ask(d policy.Decision, r Request) *wire.Ask {
	switch d.Reason {
	case policy.ReasonHostNotAllowed, policy.ReasonPathNotAllowed, policy.ReasonMethodNotAllowed:
	default:
		return nil
	}
	match := map[string]any{"path": map[string]any{"exact": r.Path}, "methods": []string{r.Method}}
	host := r.Host
	if r.Port != route.DefaultPort {
		host += ":" + r.Port
	}
	return &wire.Ask{Tool: wire.ToolEgress, Arguments: map[string]any{
		"host": host, "matches": []any{match}, "justification": "",
	}}
}
