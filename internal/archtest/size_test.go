package archtest

import (
	"fmt"
	"go/ast"
	"os"
	"strconv"
	"strings"
	"testing"
)

const (
	maxFileLines     = 400
	maxFunctionLines = 60 // tests excluded: a table may be as long as it needs
)

// length is the size of a file, or of a function in it (path:Name or
// path:Receiver.Name).
type length struct {
	name  string
	lines int
	limit int
}

func lengths(s *source) []length {
	if ast.IsGenerated(s.file) {
		return nil
	}
	all := []length{{name: s.path, lines: s.lines, limit: maxFileLines}}
	if s.isTest() {
		return all
	}
	for _, decl := range s.file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			all = append(all, length{name: s.path + ":" + functionName(f), lines: lines, limit: maxFunctionLines})
		}
	}
	return all
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr: // a generic receiver
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}

// tooLong judges lengths against their limits and the exceptions, which give a
// name the number of lines it may have. What an exception no longer excuses is a
// problem, too.
func tooLong(all []length, exceptions map[string]int) []string {
	var problems []string
	excused := map[string]bool{}
	for _, l := range all {
		limit, listed := exceptions[l.name]
		switch {
		case listed && l.lines > l.limit:
			excused[l.name] = true
			if l.lines > limit {
				problems = append(problems, fmt.Sprintf("%s has %d lines and its exception ends at %d: split it", l.name, l.lines, limit))
			}
		case l.lines > l.limit:
			problems = append(problems, fmt.Sprintf("%s has %d lines, more than %d: split it", l.name, l.lines, l.limit))
		}
	}
	for name := range exceptions {
		if !excused[name] {
			problems = append(problems, fmt.Sprintf("testdata/long.txt excuses %s, which is not too long or not there: remove the line", name))
		}
	}
	return problems
}

// readExceptions reads testdata/long.txt: a name, the lines it may have, and the
// reason, separated by blanks.
func readExceptions(t *testing.T) map[string]int {
	t.Helper()
	data, err := os.ReadFile("testdata/long.txt")
	if err != nil {
		t.Fatal(err)
	}
	exceptions := map[string]int{}
	for i, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		limit, err := strconv.Atoi(fields[min(1, len(fields)-1)])
		if err != nil || len(fields) < 3 {
			t.Fatalf("testdata/long.txt:%d: want a name, a number of lines and a reason, got %q", i+1, line)
		}
		exceptions[fields[0]] = limit
	}
	return exceptions
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	var all []length
	for _, s := range allSources(t) {
		all = append(all, lengths(s)...)
	}
	report(t, tooLong(all, readExceptions(t)))
}

func TestLongCodeIsSeen(t *testing.T) {
	body := strings.Repeat("\t_ = 0\n", maxFunctionLines-1) // with its two braces one line too long
	long := "package a\ntype T[K any] struct{}\nfunc (t *T[K]) f() {\n" + body + "}\n"
	code := lengths(mustParse(t, "a/a.go", long))
	expect(t, tooLong(code, nil), "a/a.go:T.f has 61 lines, more than 60")
	expect(t, tooLong(code, map[string]int{"a/a.go:T.f": 61}), "")
	expect(t, tooLong(code, map[string]int{"a/a.go:T.f": 60}), "its exception ends at 60")
	expect(t, tooLong(code, map[string]int{"a/a.go:T.f": 61, "a/a.go": 500}), "excuses a/a.go,")
	expect(t, tooLong(lengths(mustParse(t, "a/a_test.go", long)), nil), "")
	expect(t, tooLong(lengths(mustParse(t, "a/b.go", "package a\n"+strings.Repeat("\n", maxFileLines))), nil), "a/b.go has 401 lines")
}
