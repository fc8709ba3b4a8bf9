package own

import (
	"encoding/base64"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

const mine = "bottle-placeholder-T"

func basic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

var (
	bearer = Rules{Auth: &wire.Auth{Scheme: wire.SchemeBearer, TokenRef: "T", Query: []string{"key"}}, Credentialed: true}
	apiKey = Rules{Auth: &wire.Auth{Scheme: wire.SchemeHeader, Header: "x-api-key", TokenRef: "T"}, Credentialed: true}
	strip  = Rules{Auth: &wire.Auth{Scheme: wire.SchemeBearer, TokenRef: "T", AgentCredential: wire.AgentCredentialStrip}, Credentialed: true}
	beside = Rules{Credentialed: true} // a route without auth on a host with one
	plain  = Rules{}
)

func TestCheck(t *testing.T) {
	const (
		foreign   = policy.ReasonAgentCredential
		misplaced = policy.ReasonPlaceholderMisplaced
	)
	for _, tc := range []struct {
		name         string
		rules        Rules
		field, value string
		path, query  string
		want         policy.Reason
	}{
		{"nothing", bearer, "Accept", "*/*", "/v1", "q=1", ""},
		{"own key", bearer, "Authorization", "Bearer sk-attacker", "/", "", foreign},
		{"own key without a scheme", bearer, "Authorization", "sk-attacker", "/", "", foreign},
		{"own password", bearer, "Authorization", basic("me:mine"), "/", "", foreign},
		{"own password, not base64", bearer, "Authorization", "Basic *", "/", "", foreign},
		{"own key in another field", bearer, "X-Api-Key", "sk-attacker", "/", "", foreign},
		{"own key in another spelling", bearer, "X_api_key", "sk-attacker", "/", "", foreign},
		{"own key in the route's field", Rules{&wire.Auth{Scheme: wire.SchemeHeader, Header: "x-custom", TokenRef: "T"}, true}, "X-Custom", "k", "/", "", foreign},
		{"own key on a route beside", beside, "Authorization", "Bearer sk-attacker", "/", "", foreign},
		{"own key in the query", bearer, "", "", "/", "a=b&access_token=x", foreign},
		{"own key in the query, encoded", bearer, "", "", "/", "a=b;Access%5Ftoken%5b%5d=x", foreign},
		{"own key in the query, as the route names it", bearer, "", "", "/", "key=x", foreign},
		{"a key that the route does not name", apiKey, "", "", "/", "key=x", ""},
		{"an empty key", bearer, "", "", "/", "access_token=", ""},
		{"an empty field", bearer, "Authorization", "", "/", "", ""},
		{"a bare scheme", bearer, "Authorization", "Bearer ", "/", "", foreign},
		{"own key where the route strips", strip, "Authorization", "Bearer sk-attacker", "/", "access_token=x", ""},
		{"own key on a host of nobody's", plain, "Authorization", "Bearer mine", "/", "access_token=x", ""},

		{"placeholder in its place", bearer, "Authorization", "Bearer " + mine, "/", "", ""},
		{"placeholder without a scheme", bearer, "Authorization", mine, "/", "", ""},
		{"placeholder as password", bearer, "Authorization", basic("x-access-token:" + mine), "/", "", ""},
		{"placeholder as user", bearer, "Authorization", basic(mine + ":"), "/", "", ""},
		{"placeholder in its header", apiKey, "X-Api-Key", mine, "/", "", ""},
		{"placeholder in another field", apiKey, "Authorization", "Bearer " + mine, "/", "", misplaced},
		{"placeholder of another token", bearer, "Authorization", "Bearer bottle-placeholder-U", "/", "", misplaced},
		{"placeholder with something behind", bearer, "Authorization", "Bearer " + mine + "x", "/", "", misplaced},
		{"placeholder beside a password", bearer, "Authorization", basic(mine + ":" + mine), "/", "", misplaced},
		{"placeholder for another host", plain, "Authorization", "Bearer " + mine, "/", "", misplaced},
		{"placeholder for another host, as password", plain, "Authorization", basic("u:" + mine), "/", "", misplaced},
		{"placeholder in any header", plain, "X-Note", "see " + mine, "/", "", misplaced},
		{"placeholder in a header, encoded", plain, "X-Note", "bottle%2Dplaceholder-T", "/", "", misplaced},
		{"placeholder as a header", plain, "Bottle-Placeholder-T", "x", "/", "", misplaced},
		{"placeholder in the path", bearer, "", "", "/" + mine, "", misplaced},
		{"placeholder in the query", bearer, "", "", "/", "x=" + mine, misplaced},
		{"placeholder in the query, encoded", plain, "", "", "/", "x=%62ottle-placeholder-T", misplaced},
		{"placeholder where own keys are stripped", strip, "X-Note", mine, "/", "", misplaced},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := map[string][]string{}
			if tc.field != "" {
				h[tc.field] = []string{tc.value}
			}
			d := tc.rules.Check(h, tc.path, tc.query)
			if got := reason(d); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func reason(d *policy.Decision) policy.Reason {
	if d == nil {
		return ""
	}
	return d.Reason
}

func FuzzCheck(f *testing.F) {
	f.Add("Authorization", "Bearer "+mine, "/p", "access_token=x")
	f.Add("X_api_key", "Basic Og==", "/%", "a[=;b")
	f.Fuzz(func(t *testing.T, field, value, path, query string) {
		h := map[string][]string{field: {value}}
		for _, r := range []Rules{bearer, apiKey, strip, beside, plain} {
			if d := r.Check(h, path, query); d != nil && (d.OK() || d.Reason == "" || d.Detail == "") {
				t.Fatalf("a refusal without a reason: %+v", d)
			}
		}
		if query == "" && path == "" && plain.Check(h, "", "") == nil && holds(value) {
			t.Fatalf("%q passed", value)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	h := map[string][]string{
		"Accept": {"*/*"}, "User-Agent": {"agent/1.0"}, "Content-Type": {"application/json"},
		"Authorization": {"Bearer " + mine}, "Accept-Encoding": {"gzip, br"}, "Anthropic-Version": {"2023-06-01"},
	}
	b.ReportAllocs()
	for b.Loop() {
		if bearer.Check(h, "/v1/messages", "beta=true") != nil {
			b.Fatal("denied")
		}
	}
}
