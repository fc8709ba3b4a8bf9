package verify

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/verify.md")

const (
	docsFile  = "../../../docs/verify.md"
	tableHead = "<!-- The rest is written by `go test ./launcher/internal/verify -run TestDocs -update`. -->\n"
)

// TestDocs holds the table in docs/verify.md against the attempts that are made.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	text, _, ok := strings.Cut(string(data), tableHead)
	if !ok {
		t.Fatalf("%s has lost the line behind which its table stands", docsFile)
	}
	want := text + tableHead + table()
	if *update {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(data) != want {
		t.Error("docs/verify.md is not what is tried; run `go test ./launcher/internal/verify -run TestDocs -update`")
	}
}

func table() string {
	var b strings.Builder
	group := ""
	all := attempts()
	count := map[string]int{}
	for _, a := range all {
		count[a.in]++
	}
	fmt.Fprintf(&b, "\n%d attempts: %d in containers, %d in virtual machines.\n", len(all), count[""]+count[container], count[""]+count[machine])
	for _, a := range all {
		if a.group != group {
			group = a.group
			fmt.Fprintf(&b, "\n## %s\n\n| id | what is tried | by | in |\n|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", a.id, strings.ReplaceAll(a.words, "|", `\|`), strings.Join(a.users, ", "), backendsOf(a))
	}
	return b.String()
}

// backendsOf is where an attempt is made, in words.
func backendsOf(a *attempt) string {
	in := a.in
	if in == "" {
		in = "both"
	}
	if a.kernel {
		in += ", not gVisor"
	}
	return in
}

// TestAttempts: ids are contracts with scripts, so each is there once, and every
// group of the threat list has some.
func TestAttempts(t *testing.T) {
	ids, groups := map[string]bool{}, map[string]int{}
	for _, a := range attempts() {
		if ids[a.id] || a.id == "" || a.words == "" || a.plan == nil || a.judge == nil {
			t.Errorf("%q is there twice, or not whole", a.id)
		}
		ids[a.id] = true
		groups[a.group]++
	}
	if len(ids) < 60 || len(groups) != 8 {
		t.Errorf("%d attempts in %d groups", len(ids), len(groups))
	}
}
