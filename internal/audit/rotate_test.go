package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openRotating(t testing.TB, file string, r Rotation) *Log {
	t.Helper()
	l, err := OpenRotating(file, "egressd", "demo-abc12", r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestChainGoesOnFromFileToFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	for range 3 { // restarts
		l := openRotating(t, file, Rotation{MaxBytes: 2000})
		for i := range 20 {
			write(t, l, fmt.Sprintf("h%d.example", i))
		}
		l.Close()
	}
	r, err := VerifyFiles(file)
	if err != nil || r.Lines != 60 || len(r.Files) < 5 || r.Torn != 0 || r.Trimmed {
		t.Errorf("%+v, %v", r, err)
	}
	for _, f := range r.Files {
		if st, err := os.Stat(f); err != nil || st.Size() > 2500 {
			t.Errorf("%s: %v, %v", f, st, err)
		}
	}
	if err := os.Remove(r.Files[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyFiles(file); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("without its third file: %v", err)
	}
}

func TestTamperingWithAFullFileShows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := openRotating(t, file, Rotation{MaxBytes: 1000})
	for range 10 {
		write(t, l, "a.example")
	}
	aside := filepath.Join(filepath.Dir(file), "a.00001.jsonl")
	data, err := os.ReadFile(aside)
	if err != nil {
		t.Fatal(err)
	}
	last := strings.LastIndex(strings.TrimSpace(string(data)), "\n") + 1
	for name, bad := range map[string]string{
		"last line changed": string(data[:last]) + strings.Replace(string(data[last:]), "a.example", "b.example", 1),
		"last line removed": string(data[:last]),
		"nothing left":      "",
	} {
		if err := os.WriteFile(aside, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := VerifyFiles(file); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestOldestFilesGo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := openRotating(t, file, Rotation{MaxBytes: 500, Keep: 2})
	for range 40 {
		write(t, l, "a.example")
	}
	r, err := VerifyFiles(file)
	if err != nil || len(r.Files) != 3 || !r.Trimmed {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestCrashBetweenRenameAndCreation leaves no file under the name itself.
func TestCrashBetweenRenameAndCreation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := open(t, file)
	write(t, l, "a.example")
	l.Close()
	if err := os.Rename(file, filepath.Join(filepath.Dir(file), "a.00001.jsonl")); err != nil {
		t.Fatal(err)
	}
	write(t, open(t, file), "b.example")
	if r, err := VerifyFiles(file); err != nil || r.Lines != 2 || len(r.Files) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestNoSuccessor makes the new file impossible after the old one was renamed:
// nothing may be recorded, and so nothing may happen, until it is possible.
func TestNoSuccessor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := openRotating(t, file, Rotation{MaxBytes: 500})
	for l.size < 500 {
		write(t, l, "a.example")
	}
	path := l.path
	l.path = filepath.Join(filepath.Dir(file), "no", "a.jsonl")
	if err := l.Require(Entry{Event: "begin", Host: "never.example"}); err == nil {
		t.Error("a request may go out that is not recorded")
	}
	l.path = path
	if err := l.Require(Entry{Event: "begin", Host: "b.example"}); err != nil {
		t.Error(err)
	}
	if r, err := VerifyFiles(file); err != nil || len(r.Files) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTornLinesAreReported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	for range 2 {
		l := open(t, file)
		write(t, l, "a.example")
		l.Close()
		tear(t, file)
	}
	if r, err := VerifyFiles(file); err != nil || r.Lines != 2 || r.Torn != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := os.WriteFile(file, []byte("something else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := VerifyFiles(file); err == nil {
		t.Errorf("something else: %+v", r)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"ts":"x","prev":"` + Genesis + `"}` + "\n" + `{"ts`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := Verify(strings.NewReader(string(data))); err == nil && n > strings.Count(string(data), "\n")+1 {
			t.Fatalf("%d lines", n)
		}
	})
}
