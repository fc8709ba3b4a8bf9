package refpolicy

import (
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

const a, b = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"

func TestNames(t *testing.T) {
	rules := wire.GitRefs{Allow: []string{"refs/heads/agent/*", "refs/tags/*"}}
	loose := wire.GitRefs{Allow: rules.Allow, Delete: true, Tags: wire.TagsMove}
	have := map[string]string{"refs/heads/agent/x": a, "refs/tags/v1": a, "refs/heads/main": a}
	for _, tc := range []struct {
		what     string
		rules    wire.GitRefs
		ref      string
		old, new string
		want     policy.Reason
	}{
		{"a new branch", rules, "refs/heads/agent/y", Zero, a, ""},
		{"an update", rules, "refs/heads/agent/x", a, b, ""},
		{"deep", rules, "refs/heads/agent/y/z", Zero, a, ""},
		{"the pattern's bare prefix", rules, "refs/heads/agent/", Zero, a, policy.ReasonRefNotAllowed},
		{"outside", rules, "refs/heads/main", a, b, policy.ReasonRefNotAllowed},
		{"climbing out", rules, "refs/heads/agent/../main", a, b, policy.ReasonRefNotAllowed},
		{"other namespace", rules, "refs/pull/1/head", Zero, a, policy.ReasonRefNotAllowed},
		{"replace refs", rules, "refs/replace/" + a, Zero, b, policy.ReasonRefNotAllowed},
		{"HEAD", rules, "HEAD", a, b, policy.ReasonRefNotAllowed},
		{"delete", rules, "refs/heads/agent/x", a, Zero, policy.ReasonRefDelete},
		{"delete, allowed", loose, "refs/heads/agent/x", a, Zero, ""},
		{"nothing to nothing", loose, "refs/heads/agent/n", Zero, Zero, policy.ReasonRefNotAllowed},
		{"stale", rules, "refs/heads/agent/x", b, a, policy.ReasonRefStale},
		{"stale create", rules, "refs/heads/agent/x", Zero, b, policy.ReasonRefStale},
		{"new tag", rules, "refs/tags/v2", Zero, a, ""},
		{"moved tag", rules, "refs/tags/v1", a, b, policy.ReasonTagMoved},
		{"moved tag said to be new", rules, "refs/tags/v1", Zero, b, policy.ReasonTagMoved},
		{"moved tag, allowed", loose, "refs/tags/v1", a, b, ""},
		{"no tags at all", wire.GitRefs{Allow: rules.Allow, Tags: wire.TagsDeny}, "refs/tags/v2", Zero, a, policy.ReasonTagMoved},
		{"nothing allowed", wire.GitRefs{}, "refs/heads/agent/y", Zero, a, policy.ReasonRefNotAllowed},
	} {
		d := Names(tc.rules, have, []Update{{tc.ref, tc.old, tc.new}})[0]
		if d.Reason != tc.want || d.OK() != (tc.want == "") || !d.OK() && !strings.HasSuffix(d.Detail, ".") {
			t.Errorf("%s: %+v, want %q", tc.what, d, tc.want)
		}
	}
	twice := Names(rules, have, []Update{{"refs/heads/agent/y", Zero, a}, {"refs/heads/agent/y", Zero, b}})
	if !twice[0].OK() || twice[1].OK() {
		t.Errorf("a ref that is named twice: %+v", twice)
	}
}

func TestForced(t *testing.T) {
	d := policy.Allowed("refs.allow[0]")
	if Forced(wire.GitRefs{}, d).Reason != policy.ReasonRefForced || !Forced(wire.GitRefs{Force: true}, d).OK() {
		t.Error("force is not what decides")
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("refs/heads/a*b", "refs/heads/axb")
	f.Fuzz(func(t *testing.T, pattern, ref string) {
		if !Match(pattern, ref) {
			return
		}
		head, tail, star := strings.Cut(pattern, "*")
		if !strings.HasPrefix(ref, head) || star && (!strings.HasSuffix(ref, tail) || ref == head+tail) || !star && ref != pattern {
			t.Errorf("%q took %q", pattern, ref)
		}
	})
}
