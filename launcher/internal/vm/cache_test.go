package vm

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTrim(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	type file struct {
		image string // with ".part" where it was never finished
		gib   int64
		age   time.Duration
	}
	for _, tc := range []struct {
		name  string
		files []file
		used  string
		left  string
		asked bool
		freed int64
	}{
		{"nothing", nil, "", "", false, 0},
		{"all used lately", []file{{"a", 1, day}, {"b", 1, 13 * day}}, "", "a b", false, 0},
		{"unused", []file{{"a", 1, day}, {"b", 2, 15 * day}, {"c", 1, 16 * day}}, "c", "a c", true, 2},
		{"too much", []file{{"a", 9, day}, {"b", 9, 2 * day}, {"c", 9, 3 * day}}, "", "a b", true, 9},
		{"too much, and the oldest is used", []file{{"a", 9, day}, {"b", 9, 2 * day}, {"c", 9, 3 * day}}, "c", "a c", true, 9},
		{"too much, and all is used", []file{{"a", 21, day}}, "a", "a", true, 0},
		{"too much, and all is fresh", []file{{"a", 12, time.Minute}, {"b", 12, time.Minute}}, "", "a b", false, 0},
		{"enough once the old ones are gone", []file{{"a", 9, day}, {"b", 9, 2 * day}, {"c", 9, 15 * day}}, "", "a b", true, 9},
		{"unfinished", []file{{"a.part", 1, 2 * time.Hour}, {"b.part", 1, time.Minute}, {"c", 1, day}}, "", "b.part c", true, 1},
		{"of tomorrow", []file{{"a", 30, -day}}, "", "a", false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			names := map[string]string{}
			for _, f := range tc.files {
				image, part := strings.CutSuffix(f.image, ".part")
				path := imageFile(dir, image)
				if part {
					path += ".part"
				}
				names[filepath.Base(path)] = f.image
				at := now.Add(-f.age)
				if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, f.gib<<30), os.Chtimes(path, at, at)); err != nil {
					t.Fatal(err)
				}
			}
			other := filepath.Join(dir, "somebody's")
			if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Chtimes(other, time.Unix(0, 0), time.Unix(0, 0))); err != nil {
				t.Fatal(err)
			}
			asked := false
			freed, err := Trim(dir, now, func() ([]string, error) { asked = true; return strings.Fields(tc.used), nil })
			if err != nil || freed.Bytes != tc.freed<<30 || asked != tc.asked {
				t.Errorf("freed %+v, %v; asked: %v", freed, err, asked)
			}
			var left []string
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if name, ok := names[e.Name()]; ok {
					left = append(left, name)
				}
			}
			slices.Sort(left)
			if got := strings.Join(left, " "); got != tc.left {
				t.Errorf("left are %q, want %q", got, tc.left)
			}
			if _, err := os.Stat(other); err != nil {
				t.Error(err)
			}
		})
	}
}

// A disk stays where it is not known who uses it, and where it is used by the time
// that it would go.
func TestTrimSpares(t *testing.T) {
	dir := t.TempDir()
	file := imageFile(dir, "a")
	old := time.Now().Add(-DisksAge - time.Hour)
	if err := errors.Join(os.WriteFile(file, []byte("disk"), 0o600), os.Chtimes(file, old, old)); err != nil {
		t.Fatal(err)
	}
	unknown := errors.New("nobody knows")
	if _, err := Trim(dir, time.Now(), func() ([]string, error) { return nil, unknown }); !errors.Is(err, unknown) {
		t.Error(err)
	}
	use := func() ([]string, error) {
		got, err := Image(t.Context(), dir, "a", func(context.Context, io.Writer) error { return errors.New("it is there") })
		if err != nil || got != file {
			t.Errorf("%q, %v", got, err)
		}
		return nil, nil
	}
	if freed, err := Trim(dir, time.Now(), use); err != nil || freed.Disks != 0 {
		t.Errorf("%+v, %v", freed, err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if _, err := Trim(filepath.Join(dir, "none"), time.Now(), use); err != nil {
		t.Error(err)
	}
}
