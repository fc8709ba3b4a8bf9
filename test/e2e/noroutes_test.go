package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// TestBottleWithoutRoutes has no egressd: pipelockd is the agent's proxy and
// resolver, and its root is the one that the agent trusts.
func TestBottleWithoutRoutes(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	b := w.mustStart(t, home, "plain")
	if all := containers(t, b.id); len(all) != 2 {
		t.Errorf("%d containers, want agent and pipelockd", len(all))
	}

	before := w.upstream.Mark()
	b.shell(t, "curl -sS --fail -o /dev/null "+w.url("open", "/v1/hello"))
	sawOne(t, w.upstream, before)

	before = w.upstream.Mark()
	attempts := []attempt{
		w.request("other", "GET", "/v1/hello"),
		w.request("open", "GET", "/v1/hello?key="+awsKey),
		w.request("open", "GET", "/v1/ws", upgrade...),
	}
	reasons := []policy.Reason{policy.ReasonHostNotAllowed, policy.ReasonSecretFound, policy.ReasonUpgrade}
	for i, o := range b.try(t, attempts...) {
		a := o.Connect
		if len(o.Answers) > 0 {
			a = &o.Answers[0]
		}
		var p wire.Problem
		if a == nil || a.Status != http.StatusForbidden || json.Unmarshal([]byte(a.Body), &p) != nil || p.Reason != reasons[i] {
			t.Errorf("want %s, got %+v", reasons[i], o)
			continue
		}
		b.awaitDecision(t, p.RequestID, p.Reason)
	}
	sawNothing(t, w.upstream, before)

	name := "leak-" + digits(8) + ".example"
	for _, user := range users {
		r := b.exec(t, user, "curl -s -k -m 4 --noproxy '*' -o /dev/null https://"+upstreamAddress+":"+w.port+"/ && echo past; getent hosts "+name+" && echo resolved; true")
		if r.Stdout != "" {
			t.Errorf("as %s: %s", user, r)
		}
	}
	sawNothing(t, w.upstream, before)
	b.awaitLine(t, "pipelockd", "the DNS question", func(l audit.Line) bool {
		return l.Reason == policy.ReasonNameNotAnswered && strings.TrimSuffix(l.Host, ".") == name
	})

	data, err := os.ReadFile(filepath.Join(b.dir, "metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var meta struct{ CA map[string]string }
	var trusted struct{ Python []string }
	if err := json.Unmarshal(data, &meta); err != nil {
		t.Fatal(err)
	}
	b.python(t, "root", "trust.py", nil, &trusted)
	if len(trusted.Python) != 1 || trusted.Python[0] != meta.CA["pipelock"] {
		t.Errorf("the agent trusts %q, the pipelock root is %q", trusted.Python, meta.CA["pipelock"])
	}
}
