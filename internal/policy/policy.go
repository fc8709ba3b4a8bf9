// Package policy holds the words in which every sidecar states a decision: the
// verdicts, the closed list of reasons, and the Decision that joins them with
// the rule that won. It imports nothing of HTTP, so that a decision core can be
// tested without a socket.
package policy

// Verdict says what becomes of a request.
type Verdict string

// The verdicts. Redact and Hold are not issued by every sidecar.
const (
	Allow  Verdict = "allow"
	Deny   Verdict = "deny"
	Redact Verdict = "redact"
	Hold   Verdict = "hold"
)

// Decision is the outcome of judging one request. The zero value is not a
// decision; build one with [Allowed] or [Denied].
type Decision struct {
	Verdict Verdict
	// Reason is empty for an allowed request.
	Reason Reason
	// Rule names the rule that won, "" when none did.
	Rule string
	// Detail is one sentence for the agent. It never holds a secret.
	Detail string
}

// Allowed is the decision to let a request pass because of rule.
func Allowed(rule string) Decision { return Decision{Verdict: Allow, Rule: rule} }

// Denied is the decision to refuse a request.
func Denied(reason Reason, rule, detail string) Decision {
	return Decision{Verdict: Deny, Reason: reason, Rule: rule, Detail: detail}
}

// OK reports whether the request may go on.
func (d Decision) OK() bool { return d.Verdict == Allow || d.Verdict == Redact }
