package egress

import (
	"net/http"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

func testTable(t testing.TB) *route.Table {
	t.Helper()
	tab, err := route.Compile([]wire.Route{
		{Host: "api.example", Matches: []wire.Match{{Path: &wire.PathMatch{Prefix: "/v1/"}, Methods: []string{"GET", "POST"}}},
			Auth: &wire.Auth{Scheme: wire.SchemeBearer, TokenRef: "T"}},
		{Host: "git.example"},
		{Host: "ws.example", WebSocket: true},
		{Host: "npm.example", EncodedSlash: true},
		{Host: "plain.example:80"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestJudge(t *testing.T) {
	tab := testTable(t)
	for _, tc := range []struct {
		name, scheme, authority, method, target string
		header                                  http.Header
		want                                    policy.Reason
	}{
		{"allowed", "https", "api.example", "GET", "/v1/x?q=1", nil, ""},
		{"allowed with port", "https", "API.example:443", "POST", "/v1/x", nil, ""},
		{"host", "https", "evil.example", "GET", "/v1/x", nil, policy.ReasonHostNotAllowed},
		{"port", "https", "api.example:22", "GET", "/v1/x", nil, policy.ReasonHostNotAllowed},
		{"path", "https", "api.example", "GET", "/admin", nil, policy.ReasonPathNotAllowed},
		{"method", "https", "api.example", "DELETE", "/v1/x", nil, policy.ReasonMethodNotAllowed},
		{"literal", "https", "127.0.0.1", "GET", "/", nil, policy.ReasonBadAuthority},
		{"literal in decimal", "https", "2130706433", "GET", "/", nil, policy.ReasonBadAuthority},
		{"trailing dot", "https", "api.example.", "GET", "/v1/x", nil, policy.ReasonBadAuthority},
		{"user information", "https", "u@api.example", "GET", "/v1/x", nil, policy.ReasonBadAuthority},
		{"asterisk", "https", "api.example", "OPTIONS", "*", nil, policy.ReasonBadRequest},
		{"dots", "https", "api.example", "GET", "/v1/../admin", nil, policy.ReasonAmbiguousPath},
		{"double encoding", "https", "api.example", "GET", "/v1/%252e%252e/admin", nil, policy.ReasonAmbiguousPath},
		{"encoded slash", "https", "api.example", "GET", "/v1/a%2fb", nil, policy.ReasonAmbiguousPath},
		{"encoded slash where the route takes it", "https", "npm.example", "GET", "/@scope%2fname", nil, ""},
		{"encoded slash and dots", "https", "npm.example", "GET", "/@scope%2f..%2fname", nil, policy.ReasonAmbiguousPath},
		{"push behind an encoded slash", "https", "npm.example", "POST", "/r.git%2Fgit-receive-pack", nil, policy.ReasonGitPush},
		{"fragment in the query", "https", "api.example", "GET", "/v1/x?a#b", nil, policy.ReasonBadRequest},
		{"space in the query", "https", "api.example", "GET", "/v1/x?a b", nil, policy.ReasonBadRequest},
		{"connection naming a field", "https", "api.example", "GET", "/v1/x", http.Header{"Connection": {"close, Authorization"}}, policy.ReasonBadRequest},
		{"host beside authority", "https", "api.example", "GET", "/v1/x", http.Header{"Host": {"evil.example"}}, policy.ReasonAuthorityMismatch},
		{"two spellings", "https", "api.example", "GET", "/v1/x", http.Header{"X-Op": {"read"}, "X_op": {"write"}}, policy.ReasonBadRequest},
		{"upgrade", "https", "api.example", "GET", "/v1/x", http.Header{"Upgrade": {"websocket"}}, policy.ReasonUpgrade},
		{"h2c", "https", "ws.example", "GET", "/", http.Header{"Upgrade": {"h2c"}}, policy.ReasonUpgrade},
		{"websocket", "https", "ws.example", "GET", "/", http.Header{"Upgrade": {"WebSocket"}, "Connection": {"Upgrade"}}, ""},
		{"two upgrades", "https", "ws.example", "GET", "/", http.Header{"Upgrade": {"websocket", "h2c"}}, policy.ReasonBadRequest},
		{"credential without TLS", "http", "api.example:443", "GET", "/v1/x", nil, policy.ReasonPlaintextAuth},
		{"plain", "http", "plain.example", "GET", "/x", nil, ""},
		{"plain on the TLS port", "http", "git.example", "GET", "/x", nil, policy.ReasonHostNotAllowed},
		{"push advertisement", "https", "git.example", "GET", "/o/r.git/info/refs?service=git-receive-pack", nil, policy.ReasonGitPush},
		{"push advertisement, spelled out", "https", "git.example", "GET", "/o/r.git/info/refs?a=b&service=git%2Dreceive%2dpack", nil, policy.ReasonGitPush},
		{"push advertisement, encoded path", "https", "git.example", "GET", "/o/r.git/info/%72efs?service=Git-Receive-Pack", nil, policy.ReasonGitPush},
		{"push", "https", "git.example", "POST", "/o/r.git/git-receive-pack", nil, policy.ReasonGitPush},
		{"push, encoded", "https", "git.example", "POST", "/o/r.git/git%2dreceive-pack", nil, policy.ReasonGitPush},
		{"push to a host without a route", "https", "evil.example", "POST", "/git-receive-pack", nil, policy.ReasonGitPush},
		{"fetch advertisement", "https", "git.example", "GET", "/o/r.git/info/refs?service=git-upload-pack", nil, ""},
		{"fetch", "https", "git.example", "POST", "/o/r.git/git-upload-pack", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, denial := Read(tc.scheme, tc.authority, tc.method, tc.target)
			if denial == nil {
				denial = r.ReadFraming(tc.header)
			}
			if denial == nil {
				d, route := Judge(tab, r, tc.header)
				if d.OK() != (route != nil) {
					t.Errorf("decision %v with route %v", d, route)
				}
				denial = &d
			}
			if denial.Reason != tc.want || denial.OK() != (tc.want == "") {
				t.Errorf("got %+v, want %q", denial, tc.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("https", "api.example:443", "GET", "/v1/x?y=z")
	f.Add("http", "api.example", "POST", "/a/%2e%2e/b")
	tab := testTable(f)
	f.Fuzz(func(t *testing.T, scheme, authority, method, target string) {
		if scheme != "http" {
			scheme = "https"
		}
		r, denial := Read(scheme, authority, method, target)
		if denial != nil {
			if denial.OK() || denial.Reason == "" {
				t.Fatalf("a refusal without a reason: %+v", denial)
			}
			return
		}
		again, denial := Read(scheme, r.Authority(), method, r.Path+"?"+r.Query)
		if denial != nil || again != r {
			t.Fatalf("%+v is read again as %+v, %+v", r, again, denial)
		}
		Judge(tab, r, nil)
	})
}
