package secretscan

import (
	"slices"
	"strings"
	"sync"
)

// RuleNames lists every rule of traffic that an action can name, sorted.
var RuleNames = sync.OnceValue(func() []string {
	names := []string{SeedPhrase, string(KnownSecret), string(Canary)}
	for _, r := range Default.rules {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
})

// RuleExists reports whether there is a rule of a name, or, if that ends in a
// star, one that begins like it.
func RuleExists(name string) bool {
	prefix, star := strings.CutSuffix(name, "*")
	return slices.ContainsFunc(RuleNames(), func(r string) bool { return r == name || star && strings.HasPrefix(r, prefix) })
}

var actionWords = [...]string{Block: "block", Redact: "redact", Warn: "warn", Ignore: "ignore"}

// String is the word by which a configuration calls the action.
func (a Action) String() string { return actionWords[a] }

// ParseAction reads such a word.
func ParseAction(word string) (Action, bool) {
	i := slices.Index(actionWords[:], word)
	return Action(max(i, 0)), i >= 0
}
