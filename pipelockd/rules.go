package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

// writeRules prints the rule set: its version, then a rule a line with its source
// and what becomes of its findings where no action says otherwise.
func writeRules(w io.Writer) error {
	vendored := secretscan.Vendored(secretscan.Traffic)
	names := secretscan.RuleNames()
	if _, err := fmt.Fprintf(w, "# pipelockd %s: %d rules, %d of them from gitleaks %s\n", daemon.Version, len(names), len(vendored), secretscan.GitleaksVersion); err != nil {
		return err
	}
	for _, n := range names {
		source := "bottle"
		if slices.Contains(vendored, n) {
			source = "gitleaks"
		}
		if _, err := fmt.Fprintf(w, "%-40s %-9s %s\n", n, source, secretscan.DefaultAction(n)); err != nil {
			return err
		}
	}
	return nil
}
