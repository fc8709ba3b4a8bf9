package policy

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/reasons.md")

const docFile = "../../docs/reasons.md"

func document() string {
	var b strings.Builder
	b.WriteString("# Reasons\n\nEvery denial carries one of these words: in the body's `reason`, in the\n`X-Bottle-Deny` header and in the audit line. The list is closed; it is made\nfrom `internal/policy/reason.go`.\n\n| reason | what it means |\n|---|---|\n")
	for _, r := range Reasons {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Reason, r.Means)
	}
	return b.String()
}

func TestDocumentIsCurrent(t *testing.T) {
	if *update {
		if err := os.WriteFile(docFile, []byte(document()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docFile)
	if err != nil || string(got) != document() {
		t.Errorf("docs/reasons.md is not what the code says (go test ./internal/policy -update): %v", err)
	}
}

// TestEveryConstantIsListed reads the constants out of the source, so that a new
// one cannot be forgotten in the list.
func TestEveryConstantIsListed(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, r := range Reasons {
		if listed[string(r.Reason)] || !strings.HasSuffix(r.Means, ".") {
			t.Errorf("%s is listed twice, or not with a sentence", r.Reason)
		}
		listed[string(r.Reason)] = true
	}
	constants := 0
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, "Reason") || len(v.Values) != 1 {
			return true
		}
		if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			constants++
			if !listed[strings.Trim(lit.Value, `"`)] {
				t.Errorf("%s is not in Reasons", v.Names[0].Name)
			}
		}
		return true
	})
	if constants != len(Reasons) {
		t.Errorf("%d constants, %d listed", constants, len(Reasons))
	}
}
