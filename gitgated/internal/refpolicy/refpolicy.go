// Package refpolicy decides which refs a push may change. It is pure: the
// remote's rules, the wish and what git found out about it go in, a decision
// comes out.
package refpolicy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Zero is the object id that stands for "no object".
const Zero = "0000000000000000000000000000000000000000"

// Update is one ref that a push wishes to change.
type Update struct {
	Ref string
	// Old and New are what the agent says; Zero where there is none.
	Old, New string
}

// Delete reports whether the ref would go.
func (u Update) Delete() bool { return u.New == Zero }

// Create reports whether the ref would be new.
func (u Update) Create() bool { return u.Old == Zero }

// Names judges what can be judged without the objects: names, patterns and
// deletions, and whether the agent's view of the upstream is up to date. Have
// are the upstream's refs. The answer has one decision for each update.
func Names(refs wire.GitRefs, have map[string]string, updates []Update) []policy.Decision {
	out := make([]policy.Decision, len(updates))
	seen := map[string]bool{}
	for i, u := range updates {
		out[i] = name(refs, have, u)
		if seen[u.Ref] {
			out[i] = policy.Denied(policy.ReasonRefNotAllowed, "", "The push names this ref twice.")
		}
		seen[u.Ref] = true
	}
	return out
}

func name(refs wire.GitRefs, have map[string]string, u Update) policy.Decision {
	if err := gitremote.CheckRef(u.Ref); err != nil {
		return policy.Denied(policy.ReasonRefNotAllowed, "", fmt.Sprintf("This is no ref that can be pushed: %v.", err))
	}
	i := slices.IndexFunc(refs.Allow, func(p string) bool { return Match(p, u.Ref) })
	if i < 0 {
		return policy.Denied(policy.ReasonRefNotAllowed, "", "No pattern of this remote allows the ref; allowed are: "+allowed(refs)+".")
	}
	rule := fmt.Sprintf("refs.allow[%d]", i)
	is := have[u.Ref]
	if is == "" {
		is = Zero
	}
	switch {
	case u.Create() && u.Delete():
		return policy.Denied(policy.ReasonRefNotAllowed, rule, "The push names no object for this ref.")
	case u.Delete() && !refs.Delete:
		return policy.Denied(policy.ReasonRefDelete, rule, "This remote allows no deletions (refs.delete).")
	case IsTag(u.Ref) && refs.Tags == wire.TagsDeny:
		return policy.Denied(policy.ReasonTagMoved, rule, "This remote allows no tags (refs.tags).")
	case IsTag(u.Ref) && !u.Delete() && is != Zero && is != u.New && refs.Tags != wire.TagsMove:
		return policy.Denied(policy.ReasonTagMoved, rule, "The tag exists upstream already, and tags do not move here (refs.tags).")
	case u.Old != is:
		return policy.Denied(policy.ReasonRefStale, rule, "The ref is at "+short(is)+" upstream, not at "+short(u.Old)+"; fetch first.")
	}
	return policy.Allowed(rule)
}

// Forced judges an update of an existing branch or note that turned out not to
// be a fast-forward.
func Forced(refs wire.GitRefs, d policy.Decision) policy.Decision {
	if refs.Force {
		return d
	}
	return policy.Denied(policy.ReasonRefForced, d.Rule, "The update would drop commits, and this remote allows no forced pushes (refs.force); fetch and rebase, or push another branch.")
}

// IsTag tells refs that have the rules of tags.
func IsTag(ref string) bool { return strings.HasPrefix(ref, "refs/tags/") }

// Match reports whether a pattern takes a ref. A star stands for one or more
// characters.
func Match(pattern, ref string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == ref
	}
	return len(ref) > len(head)+len(tail) && strings.HasPrefix(ref, head) && strings.HasSuffix(ref, tail)
}

func allowed(refs wire.GitRefs) string {
	if len(refs.Allow) == 0 {
		return "none, the remote can be read only"
	}
	return strings.Join(refs.Allow, ", ")
}

func short(oid string) string {
	if oid == Zero {
		return "nothing"
	}
	return oid[:min(12, len(oid))]
}
