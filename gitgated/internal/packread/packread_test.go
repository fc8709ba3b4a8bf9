package packread

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes one of some commits whose pack has chains of deltas and one
// object of a size, and returns its directory and that of its packs.
func repository(t testing.TB, commits, lines, large int) (dir, packs string) {
	t.Helper()
	dir = t.TempDir()
	git(t, dir, nil, "init", "-q")
	var in bytes.Buffer
	text := strings.Repeat("a line of a file that changes\n", lines)
	for i := range commits {
		text = fmt.Sprintf("%s%d\n", text[:len(text)-i], i)
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata 2\nm\nM 100644 inline d/%d/f\ndata %d\n%s\n", 1_700_000_000+i, i%3, len(text), text)
	}
	fmt.Fprintf(&in, "tag v1\nfrom refs/heads/main\ntagger A <a@b> 1700000000 +0000\ndata 2\nt\n")
	fmt.Fprintf(&in, "commit refs/heads/large\ncommitter A <a@b> 1700000000 +0000\ndata 2\nm\nM 100644 inline l\ndata %d\n%s\n", large, make([]byte, large))
	git(t, dir, &in, "fast-import", "--quiet")
	git(t, dir, nil, "repack", "-q", "-a", "-d", "-f", "--depth=60")
	return dir, filepath.Join(dir, ".git", "objects", "pack")
}

func git(t testing.TB, dir string, in *bytes.Buffer, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1"}
	if in != nil {
		cmd.Stdin = in
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return out
}

func open(t testing.TB, packs string) *Pack {
	t.Helper()
	indexes, err := filepath.Glob(filepath.Join(packs, "*.idx"))
	if err != nil || len(indexes) != 1 {
		t.Fatal(indexes, err)
	}
	p, err := Open(indexes[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// TestReadsWhatGitReads compares every object with what git says it is.
func TestReadsWhatGitReads(t *testing.T) {
	dir, packs := repository(t, 120, 300, MaxObject+1)
	for _, offsets := range []string{"true", "false"} { // else bases are named by their ids
		git(t, dir, nil, "-c", "repack.useDeltaBaseOffset="+offsets, "repack", "-q", "-a", "-d", "-f", "--depth=60")
		r, read, asked := open(t, packs).NewReader(), 0, 0
		for all := git(t, dir, nil, "cat-file", "--batch-all-objects", "--batch"); len(all) > 0; {
			head, rest, _ := bytes.Cut(all, []byte("\n"))
			var oid, want string
			var size int
			if _, err := fmt.Sscan(string(head), &oid, &want, &size); err != nil {
				t.Fatal(err)
			}
			contents := rest[:size]
			all = rest[size+1:]
			kind, data, err := r.Read(oid)
			if errors.Is(err, ErrAskGit) {
				asked++
				continue
			}
			read++
			if err != nil || kind != want || !bytes.Equal(data, contents) {
				t.Fatalf("%s was read as a %s of %d bytes, %v", head, kind, len(data), err)
			}
		}
		if asked != 1 || read < 400 {
			t.Errorf("%d objects were read, and git is to be asked for %d (for the one that is too large)", read, asked)
		}
		if _, _, err := r.Read(strings.Repeat("0", 40)); !errors.Is(err, ErrAskGit) {
			t.Error("an object that is not in the pack:", err)
		}
	}
}

// TestDamageIsNotRead turns one byte of a pack at a time: an object is read as
// what its id says, or not.
func TestDamageIsNotRead(t *testing.T) {
	dir, packs := repository(t, 120, 300, MaxObject+1)
	p := open(t, packs)
	whole := map[string]string{}
	for line := range strings.Lines(string(git(t, dir, nil, "cat-file", "--batch-all-objects", "--batch-check"))) {
		if oid, _, _ := strings.Cut(line, " "); len(whole) < 100 {
			if _, data, err := p.NewReader().Read(oid); err == nil {
				whole[oid] = string(data)
			}
		}
	}
	data, err := os.ReadFile(p.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Create(filepath.Join(t.TempDir(), "pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	refused := 0
	for at := 12; at < len(data) && at < 4000; at += 97 {
		bad := bytes.Clone(data)
		bad[at] ^= 0x55
		if _, err := other.WriteAt(bad, 0); err != nil { // as long as the one before
			t.Fatal(err)
		}
		damaged := *p
		damaged.file = other
		for _, damaged.whole = range [][]byte{bad, nil} { // from memory, and from the file
			r := damaged.NewReader()
			for oid, want := range whole {
				switch _, got, err := r.Read(oid); {
				case err != nil:
					refused++
				case string(got) != want:
					t.Fatalf("byte %d: %s was read as something else", at, oid)
				}
			}
		}
	}
	if refused == 0 {
		t.Error("no damage was seen")
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte("the base"), []byte{8, 3, 0x90, 3})
	f.Add([]byte("the base"), []byte{8, 5, 0x91, 4, 4, 1, 'x'})
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		if out, ok := apply(base, delta); ok && len(out) > MaxObject {
			t.Fatal(len(out))
		}
	})
}

// FuzzPack reads every object that a made-up pack and index promise.
func FuzzPack(f *testing.F) {
	_, packs := repository(f, 6, 4, 100)
	p := open(f, packs)
	pack, err := os.ReadFile(p.file.Name())
	if err != nil {
		f.Fatal(err)
	}
	index, err := os.ReadFile(strings.TrimSuffix(p.file.Name(), ".pack") + ".idx")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pack, index)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, pack, index []byte) {
		p := &Pack{size: int64(len(pack))}
		if p.parse(index) != nil {
			return
		}
		name := filepath.Join(dir, "pack")
		if err := os.WriteFile(name, pack, 0o600); err != nil {
			t.Fatal(err)
		}
		if p.file, err = os.Open(name); err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for _, p.whole = range [][]byte{pack, nil} { // from memory, and from the file
			r := p.NewReader()
			for i := 0; i+idSize <= len(p.ids) && i < 50*idSize; i += idSize {
				id := p.ids[i : i+idSize]
				if kind, data, err := r.Read(fmt.Sprintf("%x", id)); err == nil && !checked(kind, data, id) {
					t.Fatal("read what it is not")
				}
			}
			if r.bytes > maxKept {
				t.Fatal(r.bytes)
			}
		}
	})
}
