package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modulePath = "github.com/bottlesuite/bottle"

// root is the top of the repository as seen from this package's folder.
const root = "../.."

// source is one Go file, parsed.
type source struct {
	path  string // from the top of the repository, with slashes
	fset  *token.FileSet
	file  *ast.File
	lines int
}

func (s *source) dir() string  { return path.Dir(s.path) }
func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// top is the folder at the top that the file is in, "" for none.
func (s *source) top() string {
	top, _, nested := strings.Cut(s.path, "/")
	if !nested {
		return ""
	}
	return top
}

// imports lists the file's import paths.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		paths = append(paths, p)
	}
	return paths
}

// parse makes a source of a piece of text; path decides where it counts as being.
func parse(path string, text []byte) (*source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{path: path, fset: fset, file: file, lines: bytes.Count(text, []byte("\n"))}, nil
}

// mustParse is parse for the small files that the tests of the walls are made of.
func mustParse(t *testing.T, path, text string) *source {
	t.Helper()
	s, err := parse(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// textFile is one file of the repository, whatever its kind.
type textFile struct {
	path string
	data []byte
}

// repository reads every file that belongs to the repository, once.
var repository = sync.OnceValues(func() ([]textFile, error) {
	var files []textFile
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if rel == ".git" || rel == ".cache" || rel == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		files = append(files, textFile{path: rel, data: data})
		return err
	})
	return files, err
})

// sources parses every Go file of the repository, once.
var sources = sync.OnceValues(func() ([]*source, error) {
	files, err := repository()
	if err != nil {
		return nil, err
	}
	var all []*source
	for _, f := range files {
		if !strings.HasSuffix(f.path, ".go") || strings.Contains("/"+f.path, "/testdata/") {
			continue
		}
		s, err := parse(f.path, f.data)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
})

func allSources(t *testing.T) []*source {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatalf("reading the repository: %v", err)
	}
	return all
}

// commands are the folders at the top that hold a main.go.
func commands(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, s := range allSources(t) {
		if path.Base(s.path) == "main.go" && s.dir() == s.top() {
			names = append(names, s.top())
		}
	}
	return names
}

// report fails the test with every sentence.
func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

// expect fails unless there is exactly one problem and it contains want, or none
// where want is empty.
func expect(t *testing.T, problems []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(problems) != 0:
		t.Errorf("a good file was refused: %q", problems)
	case want != "" && (len(problems) != 1 || !strings.Contains(problems[0], want)):
		t.Errorf("got the problems %q, want one that contains %q", problems, want)
	}
}
