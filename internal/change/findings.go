package change

import (
	"slices"

	"github.com/bottlesuite/bottle/internal/wire"
)

// remote reports whether the git gate serves a remote of that name.
func (p Policy) remote(name string) bool {
	return slices.ContainsFunc(p.Remotes, func(r wire.PolicyRemote) bool { return r.Name == name })
}

// addFinding adds an approved finding. One that has been approved before ends
// when the later of both approvals does. A grant without an end is none.
func addFinding(all []wire.GitAllowance, a wire.GitAllowance) []wire.GitAllowance {
	if a.Expires.IsZero() {
		return all
	}
	for i, x := range all {
		if x.Object == a.Object && x.Rule == a.Rule {
			if lasts(a.Expires, x.Expires) {
				all[i].Expires = a.Expires
			}
			return all
		}
	}
	return append(all, a)
}

// describeFinding says what an approval lets pass: everything that a rule finds
// in an object, whatever the agent calls the place.
func describeFinding(before Policy, f wire.GitFinding, say sayer) {
	if !before.remote(f.Remote) {
		say(true, "the git gate serves no remote %s", f.Remote)
		return
	}
	if slices.ContainsFunc(before.Findings, func(x wire.GitAllowance) bool { return x.Object == f.Object && x.Rule == f.Rule }) {
		say(false, "what %s finds in the object %.12s may be pushed already, for a time", f.Rule, f.Object)
		return
	}
	say(false, "lets the object %.12s be pushed to %s with everything that the rule %s finds in it; no other object, no other rule", f.Object, f.Remote, f.Rule)
}
