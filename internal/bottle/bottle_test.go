package bottle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestIdentity(t *testing.T) {
	seen := map[Identity]bool{}
	for range 200 {
		id := NewIdentity("my-agent")
		if _, err := ParseIdentity(string(id)); err != nil {
			t.Fatal(err)
		}
		if id.Agent() != "my-agent" {
			t.Fatalf("agent of %s is %s", id, id.Agent())
		}
		seen[id] = true
	}
	if len(seen) < 199 {
		t.Errorf("200 identities, %d of them different", len(seen))
	}
	for _, bad := range []string{"", "demo", "demo-ABCDE", "demo-abcd", "../x-abcde", "demo-abcde/..", "demo-abcde\n", "-abcde", strings.Repeat("a", 49) + "-abcde"} {
		if _, err := ParseIdentity(bad); err == nil {
			t.Errorf("%q was taken for an identity", bad)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"dev": true, "a1-b": true, "": false, "1a": false, "A": false, "a_b": false, "a/b": false, "..": false,
		"a\n": false, strings.Repeat("a", 48): true, strings.Repeat("a", 49): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFindHome(t *testing.T) {
	env := map[string]string{"HOME": "/home/op"}
	get := func(k string) string { return env[k] }
	if h, err := FindHome(get); err != nil || h.Dir != "/home/op/.bottle" {
		t.Errorf("got %v, %v", h, err)
	}
	env["BOTTLE_HOME"] = "/srv/b"
	if h, err := FindHome(get); err != nil || h.Agents() != "/srv/b/agents" {
		t.Errorf("got %v, %v", h, err)
	}
	clear(env)
	if _, err := FindHome(get); err == nil {
		t.Error("no home, no error")
	}
}

func TestStateLife(t *testing.T) {
	h := Home{t.TempDir()}
	s := h.State("demo-abcde")
	if err := s.Create(); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(); err == nil {
		t.Error("a second launch took the same directory")
	}
	lock, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.TryLock(); !errors.Is(err, ErrHeld) {
		t.Errorf("a held lock was given away: %v", err)
	}
	m := Metadata{Version: 1, Identity: s.Identity, State: StateRunning, StartedAt: time.Unix(1, 0).UTC()}
	if err := s.WriteMetadata(m); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Current(); err != nil || got.State != StateRunning {
		t.Errorf("held: %+v, %v", got, err)
	}
	lock.Release()
	if got, err := s.Current(); err != nil || got.State != StateOrphaned {
		t.Errorf("let go: %+v, %v", got, err)
	}
	for path, mode := range map[string]os.FileMode{s.Dir: 0o700, s.Path("metadata.json"): 0o600, s.Path("lock"): 0o600} {
		fi, err := os.Stat(path)
		if err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	if ids, err := h.Identities(); err != nil || len(ids) != 1 || ids[0] != "demo-abcde" {
		t.Errorf("got %v, %v", ids, err)
	}
	if err := s.Remove(); err != nil || s.Exists() {
		t.Errorf("still there: %v", err)
	}
}

func TestStateWithoutMetadataIsOrphaned(t *testing.T) {
	s := Home{t.TempDir()}.State("demo-abcde")
	if err := s.Create(); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Current(); err != nil || m.State != StateOrphaned || m.Agent != "demo" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestTokens(t *testing.T) {
	home := Home{"/home/op/.bottle"}
	root := filepath.Join(t.TempDir(), "bottle-1")
	tok := TokensOf(root, "demo-abcde")
	if err := tok.Create(home); err != nil {
		t.Fatal(err)
	}
	if err := tok.Write("T", "v", os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(tok.Path("T"))
	if err != nil || fi.Mode().Perm() != 0o400 {
		t.Errorf("%v, %v", fi, err)
	}
	if ids, err := TokenOwners(root, home); err != nil || len(ids) != 1 {
		t.Errorf("got %v, %v", ids, err)
	}
	if ids, err := TokenOwners(root, Home{"/elsewhere"}); err != nil || len(ids) != 0 {
		t.Errorf("tokens of another home: %v, %v", ids, err)
	}
	if err := tok.Remove(); err != nil {
		t.Fatal(err)
	}
}

// Somebody else may have made the directory first, in a place where all may.
func TestTokensRefuseAForeignDirectory(t *testing.T) {
	for name, plant := range map[string]func(root string) error{
		"open to all": func(root string) error { return errors.Join(os.Mkdir(root, 0o755), os.Chmod(root, 0o755)) },
		"a link":      func(root string) error { return os.Symlink(t.TempDir(), root) },
		"a file":      func(root string) error { return os.WriteFile(root, nil, 0o600) },
	} {
		root := filepath.Join(t.TempDir(), "bottle-1")
		if err := plant(root); err != nil {
			t.Fatal(err)
		}
		if err := TokensOf(root, "demo-abcde").Create(Home{"/h"}); err == nil {
			t.Errorf("%s: tokens went there", name)
		}
	}
}

func TestTokenRoot(t *testing.T) {
	if !inMemory("/dev/shm") {
		t.Skip("/dev/shm is not a tmpfs here")
	}
	got, err := TokenRoot(func(string) string { return "/proc" }, 7) // not a tmpfs, so the next one
	if err != nil || got != "/dev/shm/bottle-7" {
		t.Errorf("got %q, %v", got, err)
	}
}
