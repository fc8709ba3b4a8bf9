package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

// ruleNames lists every rule that an action can name, sorted.
func ruleNames() []string {
	names := []string{secretscan.SeedPhrase, string(secretscan.KnownSecret), string(secretscan.Canary)}
	for _, r := range secretscan.Rules(secretscan.Traffic) {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func ruleExists(name string) bool {
	prefix, star := strings.CutSuffix(name, "*")
	return slices.ContainsFunc(ruleNames(), func(r string) bool { return r == name || star && strings.HasPrefix(r, prefix) })
}

var actionWords = map[secretscan.Action]string{
	secretscan.Block: "block", secretscan.Redact: "redact", secretscan.Warn: "warn", secretscan.Ignore: "ignore",
}

// writeRules prints the rule set: its version, then a rule a line with its source
// and what becomes of its findings where no action says otherwise.
func writeRules(w io.Writer) error {
	vendored := secretscan.Vendored(secretscan.Traffic)
	names := ruleNames()
	if _, err := fmt.Fprintf(w, "# pipelockd %s: %d rules, %d of them from gitleaks %s\n", daemon.Version, len(names), len(vendored), secretscan.GitleaksVersion); err != nil {
		return err
	}
	for _, n := range names {
		source := "bottle"
		if slices.Contains(vendored, n) {
			source = "gitleaks"
		}
		if _, err := fmt.Fprintf(w, "%-40s %-9s %s\n", n, source, actionWords[secretscan.DefaultAction(n)]); err != nil {
			return err
		}
	}
	return nil
}
