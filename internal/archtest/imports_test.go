package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// internalMayImport lists what any package of internal may import beside the
// standard library and the rest of internal. A trailing slash stands for all
// that is below.
var internalMayImport = []string{"go.yaml.in/yaml/v4", "golang.org/x/"}

// internalExceptions lists by folder what single packages may import as well.
var internalExceptions = map[string][]string{
	// What is compressed in what is scanned.
	"internal/secretscan": {"github.com/klauspost/compress/", "github.com/andybalholm/brotli"},
}

// libraryRooms names the folders at the top that a library may be imported in,
// and linked into: heavy ones cost size and audit surface wherever they are.
var libraryRooms = map[string][]string{
	"github.com/smallstep/certificates/":      {"launcher"},
	"go.step.sm/crypto/":                      {"launcher"},
	"github.com/compose-spec/compose-go/":     {"compose", "launcher"},
	"github.com/containers/gvisor-tap-vsock/": {"launcher"},
	"gvisor.dev/gvisor/":                      {"launcher"},
	"github.com/zricethezav/gitleaks/":        {"gitgated"},
	"github.com/modelcontextprotocol/go-sdk/": {"superviserd", "test"},
	"github.com/elazarl/goproxy/":             {"egressd", "pipelockd"},
}

// roomOf says which folders at the top may import a path, nil for all of them.
func roomOf(imported string) []string {
	for library, rooms := range libraryRooms {
		if within(imported, library) {
			return rooms
		}
	}
	ours, isOurs := strings.CutPrefix(imported, modulePath+"/")
	top, _, _ := strings.Cut(ours, "/")
	switch {
	case !isOurs || top == "internal":
		return nil
	case top == "compose":
		return []string{"compose", "launcher"}
	default: // a command, or test
		return []string{top}
	}
}

// goproxyForbidden are the names with which goproxy intercepts by itself, under
// a key that is in its public source.
var goproxyForbidden = []string{
	"GoproxyCa", "CA_CERT", "CA_KEY", "TLSConfigFromCA",
	"AlwaysMitm", "MitmConnect", "HTTPMitmConnect", "ConnectMitm", "ConnectHTTPMitm",
}

// within reports whether an import path is prefix, or lies below it; prefix ends
// in a slash if there may be anything below it.
func within(importPath, prefix string) bool {
	return importPath == prefix || strings.HasPrefix(importPath+"/", prefix) && strings.HasSuffix(prefix, "/")
}

// outside reports whether an import is neither the standard library's nor ours.
func outside(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".") && !within(importPath, modulePath+"/")
}

// wallsBroken judges one file's imports; used collects what it needed of
// internalExceptions.
func wallsBroken(s *source, used map[string]bool) []string {
	var problems []string
	for _, imported := range s.imports() {
		if rooms := roomOf(imported); rooms != nil && !slices.Contains(rooms, s.top()) {
			problems = append(problems, fmt.Sprintf("%s imports %s, which belongs to %s only", s.path, imported, strings.Join(rooms, " and ")))
			continue
		}
		if s.top() != "internal" || s.isTest() || !outside(imported) {
			continue
		}
		belowAny := func(prefix string) bool { return within(imported, prefix) }
		if slices.ContainsFunc(internalMayImport, belowAny) {
			continue
		}
		if i := slices.IndexFunc(internalExceptions[s.dir()], belowAny); i >= 0 {
			used[s.dir()+" "+internalExceptions[s.dir()][i]] = true
			continue
		}
		problems = append(problems, fmt.Sprintf("%s imports %s, which neither internalMayImport nor internalExceptions list", s.path, imported))
	}
	return problems
}

func TestImportsRespectTheWalls(t *testing.T) {
	used := map[string]bool{}
	for _, s := range allSources(t) {
		report(t, wallsBroken(s, used))
	}
	for dir, prefixes := range internalExceptions {
		for _, prefix := range prefixes {
			if !used[dir+" "+prefix] {
				t.Errorf("internalExceptions lets %s import %s, which it does not: remove the line", dir, prefix)
			}
		}
	}
}

func TestWallsBreakWhereTheyShould(t *testing.T) {
	for _, tc := range []struct{ path, imports, want string }{
		{"internal/route/a.go", modulePath + "/egressd", "belongs to egressd only"},
		{"pipelockd/a.go", modulePath + "/egressd/inner", "belongs to egressd only"},
		{"test/a_test.go", modulePath + "/launcher", "belongs to launcher only"},
		{"egressd/a.go", modulePath + "/compose", "belongs to compose and launcher only"},
		{"egressd/a.go", "github.com/smallstep/certificates/cas", "belongs to launcher only"},
		{"internal/certs/a_test.go", "github.com/compose-spec/compose-go/v2/types", "belongs to compose and launcher only"},
		{"internal/route/a.go", "github.com/rogpeppe/go-internal/lockedfile", "list"},
		{"internal/route/a.go", "go.yaml.in/yaml/v4/internal", "list"},
		{"internal/route/a_test.go", "github.com/rogpeppe/go-internal/testscript", ""},
		{"internal/route/a.go", "golang.org/x/net/idna", ""},
		{"internal/route/a.go", "go.yaml.in/yaml/v4", ""},
		{"internal/route/a.go", "net/http", ""},
		{"egressd/a.go", modulePath + "/internal/route", ""},
		{"egressd/a.go", "github.com/elazarl/goproxy", ""},
		{"launcher/a.go", modulePath + "/compose", ""},
	} {
		s := mustParse(t, tc.path, fmt.Sprintf("package a\nimport _ %q\n", tc.imports))
		t.Run(tc.path+" imports "+tc.imports, func(t *testing.T) {
			expect(t, wallsBroken(s, map[string]bool{}), tc.want)
		})
	}
}

// interceptions finds goproxy's own interception by name.
func interceptions(s *source) []string {
	var problems []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && slices.Contains(goproxyForbidden, id.Name) {
			problems = append(problems, fmt.Sprintf("%s uses %s: goproxy must not intercept; internal/mitm does", s.fset.Position(id.Pos()), id.Name))
		}
		return true
	})
	return problems
}

func TestGoproxyNeverIntercepts(t *testing.T) {
	for _, s := range allSources(t) {
		report(t, interceptions(s))
	}
}

func TestInterceptionIsSeen(t *testing.T) {
	bad := mustParse(t, "egressd/a.go", "package a\nfunc f(p *goproxy.ProxyHttpServer) { p.OnRequest().HandleConnect(goproxy.AlwaysMitm) }\n")
	expect(t, interceptions(bad), "egressd/a.go:2:")
	good := mustParse(t, "egressd/a.go", "package a\n// Not AlwaysMitm.\nfunc f() { goproxy.AlwaysReject() }\n")
	expect(t, interceptions(good), "")
}
