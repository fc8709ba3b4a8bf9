package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// attempt is what testdata/tunnel.py says to the proxy, byte by byte.
type attempt struct {
	// Connect is the authority of the CONNECT; "" sends to the proxy itself.
	Connect string `json:"connect,omitempty"`
	// Name is the TLS server name within the tunnel; "" sends none.
	Name string `json:"name,omitempty"`
	// Send are the bytes to send.
	Send []byte `json:"send"`
	// Answers is how many responses to read, one if zero.
	Answers int `json:"answers,omitempty"`
	// Then is sent after the last response, and the bytes that come back are
	// returned as Echo: what follows an upgrade.
	Then []byte `json:"then,omitempty"`
}

// outcome is what came back.
type outcome struct {
	// Connect is the answer to the CONNECT.
	Connect *answer  `json:"connect"`
	Answers []answer `json:"answers"`
	Echo    []byte   `json:"echo"`
	// Error says where it ended early: "tls: ...", "read: ...".
	Error string `json:"error"`
}

type answer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header"` // names in lower case
	Body   string            `json:"body"`
}

// request is an attempt to send one request in a tunnel of its own, with all
// names in agreement.
func (w *world) request(site, method, target string, header ...string) attempt {
	name, _, _ := strings.Cut(w.site(site), ":")
	lines := append([]string{method + " " + target + " HTTP/1.1", "Host: " + w.site(site), "Connection: close"}, header...)
	return attempt{Connect: name + ":" + w.port, Name: name, Send: []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")}
}

// try makes attempts in the bottle, one after the other.
func (b *bottle) try(t *testing.T, attempts ...attempt) []outcome {
	t.Helper()
	var out []outcome
	b.python(t, "agent", "tunnel.py", attempts, &out)
	if len(out) != len(attempts) {
		t.Fatalf("%d attempts had %d outcomes", len(attempts), len(out))
	}
	return out
}

// refusal is an attempt that must be refused for a reason.
type refusal struct {
	what string
	attempt
	reason policy.Reason
}

// refused makes attempts of which the upstream must see nothing; each must be
// answered with the reason, and have its audit line.
func refused(t *testing.T, w *world, b *bottle, list []refusal) {
	t.Helper()
	attempts := make([]attempt, len(list))
	for i, r := range list {
		attempts[i] = r.attempt
	}
	before := w.upstream.Mark()
	tlsBefore := len(b.auditOf(t, "egressd"))
	out := b.try(t, attempts...)
	sawNothing(t, w.upstream, before)
	for i, r := range list {
		t.Run(r.what, func(t *testing.T) {
			o := out[i]
			switch {
			case o.Connect != nil && o.Connect.Status != http.StatusOK:
				checkDenial(t, b, *o.Connect, r.reason)
			case len(o.Answers) > 0:
				checkDenial(t, b, o.Answers[len(o.Answers)-1], r.reason)
			case strings.HasPrefix(o.Error, "tls: "):
				// A handshake has no room for a reason; the audit has.
				for _, l := range b.auditOf(t, "egressd")[tlsBefore:] {
					if l.Event == "tls" && l.Reason == r.reason && strings.Contains(l.Detail, fmt.Sprintf("%q", r.Name)) {
						return
					}
				}
				t.Errorf("no audit line tells of the TLS server name %q", r.Name)
			default:
				t.Errorf("neither a refusal nor a failed handshake: %+v", o)
			}
		})
	}
}

// checkDenial holds a response against the contract of a denial, and finds its
// audit line by the request id.
func checkDenial(t *testing.T, b *bottle, a answer, reason policy.Reason) {
	t.Helper()
	var p wire.Problem
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		t.Fatalf("the body of the denial is not JSON (%v): %d %q", err, a.Status, a.Body)
	}
	if a.Status != http.StatusForbidden || a.Header["content-type"] != "application/problem+json" ||
		a.Header["x-bottle-deny"] != string(reason) || p.Reason != reason || p.Detail == "" {
		t.Errorf("want a denial for %s, got %+v", reason, a)
	}
	b.awaitDecision(t, p.RequestID, reason)
}
