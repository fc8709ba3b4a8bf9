package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// namelessRooms are package names that say nothing of what is inside.
var namelessRooms = []string{"util", "utils", "common", "types", "helper", "helpers", "misc", "shared"}

// uncommented lists the packages, by folder, whose files have no package comment.
// A package of test files alone explains itself in them.
func uncommented(files []*source) []string {
	commented := map[string]bool{}
	for _, s := range files {
		if !s.isTest() {
			commented[s.dir()] = commented[s.dir()] || s.file.Doc != nil && strings.TrimSpace(s.file.Doc.Text()) != ""
		}
	}
	var problems []string
	for dir, ok := range commented {
		if !ok {
			problems = append(problems, fmt.Sprintf("%s has no package comment: say what it is for, above the package clause of one of its files", dir))
		}
	}
	slices.Sort(problems)
	return problems
}

func TestEveryPackageHasAComment(t *testing.T) {
	report(t, uncommented(allSources(t)))
}

func TestMissingPackageCommentIsSeen(t *testing.T) {
	bare := mustParse(t, "internal/a/a.go", "package a\n")
	directive := mustParse(t, "internal/b/b.go", "//go:build linux\n\npackage b\n")
	inTestOnly := mustParse(t, "internal/a/a_test.go", "// Package a.\npackage a\n")
	doc := mustParse(t, "internal/a/doc.go", "// Package a is good.\npackage a\n")
	expect(t, uncommented([]*source{bare, inTestOnly}), "internal/a has no package comment")
	expect(t, uncommented([]*source{directive}), "internal/b has no package comment")
	expect(t, uncommented([]*source{bare, doc}), "")
}

func TestPackagesAreNamedForWhatTheyHold(t *testing.T) {
	for _, s := range allSources(t) {
		if slices.Contains(namelessRooms, path.Base(s.dir())) || slices.Contains(namelessRooms, s.file.Name.Name) {
			t.Errorf("%s: the package name %s does not say what it holds", s.path, s.file.Name.Name)
		}
	}
}
