package guestinit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes files, whose text is their name.
func tree(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// left are the files below a directory.
func left(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, file)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestUpper(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before []string
		kept   bool
		after  string
		fault  string
	}{
		{"new", nil, false, "", ""},
		{"new over what is there", []string{"upper-b/etc/x"}, false, "", "exists"},
		{"kept", []string{"upper-b/etc/x", "upper-b/home/agent/note"}, true, "upper-b/etc/x upper-b/home/agent/note", ""},
		{"kept of another image", []string{"upper-a/etc/x", "upper-a/home/agent/note"}, true, "upper-b/home/agent/note", ""},
		{"ended after the home went", []string{"upper-a/etc/x", "next/home/agent/note"}, true, "upper-b/home/agent/note", ""},
		{"ended before the old one went", []string{"upper-a/etc/x", "upper-b/home/agent/note"}, true, "upper-b/home/agent/note", ""},
		{"ended before the new one had its name", []string{"next/home/agent/note"}, true, "upper-b/home/agent/note", ""},
		{"without a home", []string{"upper-a/etc/x"}, true, "", ""},
		{"empty", nil, true, "", "holds nothing"},
		{"no directory of the name", []string{"upper-b"}, true, "", "holds nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			tree(t, dir, tc.before...)
			upper, err := layer{dir}.upper("b", tc.kept)
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) {
					t.Errorf("%q, %v", upper, err)
				}
				if got := left(t, dir); got != strings.Join(tc.before, " ") {
					t.Errorf("left are %q", got)
				}
				return
			}
			if err != nil || upper != filepath.Join(dir, "upper-b") {
				t.Fatalf("%q, %v", upper, err)
			}
			if got := left(t, dir); got != tc.after {
				t.Errorf("%q, want %q", got, tc.after)
			}
			if fi, err := os.Stat(upper); err != nil || !fi.IsDir() {
				t.Error(err)
			}
		})
	}
}
