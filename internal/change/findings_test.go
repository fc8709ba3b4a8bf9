package change

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

func gitGrant(object, rule string, seconds int) wire.Grant {
	g := wire.Grant{Finding: &wire.GitFinding{Remote: "app", Object: strings.Repeat(object, 40), Rule: rule}}
	if seconds > 0 {
		g.Expires = wire.At(epoch.Add(time.Duration(seconds) * time.Second))
	}
	return g
}

func TestFindingsEnd(t *testing.T) {
	base := Policy{Remotes: []wire.PolicyRemote{{Name: "app"}}}
	grants := []wire.Grant{
		gitGrant("a", "jwt", 60), gitGrant("a", "jwt", 30), // the longer one holds
		gitGrant("b", "jwt", 0),  // without an end: none
		gitGrant("c", "jwt", -1), // none either
	}
	p, err := Apply(base, grants, epoch)
	if err != nil || len(p.Findings) != 1 || !p.Findings[0].Expires.Equal(epoch.Add(time.Minute)) {
		t.Fatalf("%+v %v", p.Findings, err)
	}
	if p, _ := Apply(base, grants, epoch.Add(time.Hour)); len(p.Findings) > 0 {
		t.Errorf("after the end: %+v", p.Findings)
	}
	if p, _ := Apply(Policy{}, grants, epoch); len(p.Findings) > 0 {
		t.Errorf("without the remote: %+v", p.Findings)
	}
	if len(base.Findings) > 0 {
		t.Error("the base was changed")
	}
}

func TestDescribeFinding(t *testing.T) {
	p := Policy{Remotes: []wire.PolicyRemote{{Name: "app"}}}
	for name, tc := range map[string]struct {
		before Policy
		want   string
	}{
		"new":       {p, "lets the object aaaaaaaaaaaa be pushed to app with everything that the rule jwt finds in it; no other object, no other rule"},
		"no remote": {Policy{}, "!the git gate serves no remote app"},
		"again": {Policy{Remotes: p.Remotes, Findings: slices.Clone([]wire.GitAllowance{{Object: strings.Repeat("a", 40), Rule: "jwt"}})},
			"what jwt finds in the object aaaaaaaaaaaa may be pushed already, for a time"},
	} {
		if got := told(Describe(tc.before, gitGrant("a", "jwt", 60))); got != tc.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
