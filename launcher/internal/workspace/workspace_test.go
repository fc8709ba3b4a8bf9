package workspace

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// lay writes files below a new directory; a value that begins with "-> " is a
// link, one that begins with "#!" a program.
func lay(t testing.TB, files map[string]string) (string, *os.Root) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(full), 0o700)
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = errors.Join(err, os.Symlink(target, full))
		} else {
			err = errors.Join(err, os.WriteFile(full, []byte(text), perm(strings.HasPrefix(text, "#!"))))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return dir, root
}

// carried is what a directory looks like after it went in and came out.
func carried(t *testing.T, dir string) (Tree, *os.Root) {
	t.Helper()
	var archive, moved bytes.Buffer
	if _, err := Pack(dir, nil, &archive); err != nil {
		t.Fatal(err)
	}
	in, out := tar.NewReader(&archive), tar.NewWriter(&moved) // as an engine puts it below its directory
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		h.Name = "workspace/" + h.Name
		if err := errors.Join(out.WriteHeader(h), errOf(io.Copy(out, in))); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	_, stage := lay(t, nil)
	tree, left, err := Unpack(&moved, "workspace", stage)
	if err != nil || len(left) > 0 {
		t.Fatalf("%v %v", left, err)
	}
	return tree, stage
}

func errOf(_ int64, err error) error { return err }

func TestRoundTripChangesNothing(t *testing.T) {
	files := map[string]string{"a.txt": "a", "d/ä b.txt": strings.Repeat("x", 200<<10), "run.sh": "#!/bin/sh", "link": "-> d/ä b.txt", ".git/HEAD": "ref: refs/heads/main", ".git/config": "[core]\n\tbare = false\n"}
	dir, host := lay(t, files)
	tree, stage := carried(t, dir)
	if len(tree) != len(files)+2 { // and two directories
		t.Errorf("carried %v", tree)
	}
	changes, err := Compare(tree, stage, host)
	if err != nil || len(changes) > 0 {
		t.Errorf("%+v %v", changes, err)
	}
}

func TestPackRefuses(t *testing.T) {
	secret := "s3cr3t-" + strings.Repeat("v", 20)
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a token":             {map[string]string{"a/b.env": "KEY=" + secret + "\n"}, "a/b.env holds the value of API_TOKEN"},
		"a token at the seam": {map[string]string{"big": strings.Repeat("x", 32<<10-10) + secret}, "big holds the value of API_TOKEN"},
		"a password":          {map[string]string{".git/config": "[remote \"origin\"]\n\turl = https://me:hunter22@git.example/x\n"}, ".git/config:2: a credential"},
		"a header":            {map[string]string{"sub/.git/config": "[http]\n\textraHeader = Authorization: Basic eA==\n"}, "sub/.git/config:2: a credential"},
		"of a submodule":      {map[string]string{".git/modules/x/config": "\turl = https://t:oken@git.example/x\n"}, "a credential"},
	} {
		dir, _ := lay(t, tc.files)
		_, err := Pack(dir, Secrets{"API_TOKEN": secret}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir, _ := lay(t, map[string]string{".git/config": "[remote \"origin\"]\n\turl = ssh://git@git.example:2222/x\n", "hosts": "https://a:b@c"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	left, err := Pack(dir, Secrets{"API_TOKEN": secret}, io.Discard)
	if err != nil || len(left) != 1 || left[0].Path != "pipe" {
		t.Errorf("%v %v", left, err)
	}
}

// hostile is an archive as a hostile guest would have it.
func hostile(t testing.TB, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		h.Size = 0
		if h.Typeflag == tar.TypeReg {
			h.Size = 4
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			_, _ = w.Write([]byte("evil"))
		}
	}
	_ = w.Close()
	return &buf
}

func TestHostileArchives(t *testing.T) {
	reg := func(name string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: "workspace/" + name, Mode: 0o4777}
	}
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: "workspace/" + name, Linkname: to}
	}
	outside, _ := lay(t, map[string]string{"victim": "mine"})
	for name, tc := range map[string]struct {
		archive []tar.Header
		left    int    // names left out while unpacking
		barred  string // the path that Compare bars
	}{
		"dot dot":          {[]tar.Header{reg("../../etc/x"), reg("a/../../y")}, 0, ""}, // beside the workspace
		"no parent":        {[]tar.Header{reg("nowhere/x")}, 1, ""},
		"backslash":        {[]tar.Header{reg(`..\x`)}, 1, ""},
		"escape":           {[]tar.Header{reg("a\x1b[2Jb")}, 1, ""},
		"device":           {[]tar.Header{{Typeflag: tar.TypeBlock, Name: "workspace/sda"}, {Typeflag: tar.TypeFifo, Name: "workspace/fifo"}}, 2, ""},
		"below a link":     {[]tar.Header{link("d", outside), reg("d/victim")}, 1, "d"},
		"twice":            {[]tar.Header{link("x", outside+"/victim"), reg("x")}, 1, "x"},
		"hard link out":    {[]tar.Header{{Typeflag: tar.TypeLink, Name: "workspace/h", Linkname: "etc/shadow"}}, 1, ""},
		"hard to a link":   {[]tar.Header{link("x", outside+"/victim"), {Typeflag: tar.TypeLink, Name: "workspace/h", Linkname: "workspace/x"}}, 1, "x"},
		"absolute link":    {[]tar.Header{link("x", "/etc/passwd")}, 0, "x"},
		"link up":          {[]tar.Header{link("x", "../x")}, 0, "x"},
		"link over a link": {[]tar.Header{link("a", "b"), link("b", "../.."), link("c", "a/etc")}, 0, "c"},
	} {
		_, stage := lay(t, nil)
		tree, left, err := Unpack(hostile(t, tc.archive...), "workspace", stage)
		if err != nil || len(left) != tc.left {
			t.Errorf("%s: left %v, %v", name, left, err)
			continue
		}
		_, host := lay(t, nil)
		changes, err := Compare(tree, stage, host)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		barred := tc.barred == ""
		for _, c := range changes {
			barred = barred || c.Path == tc.barred && c.Barred != ""
			if c.Barred != "" && Put([]Change{c}, tree, stage, host) == nil {
				t.Errorf("%s: %s was written", name, c.Path)
			}
		}
		if !barred {
			t.Errorf("%s: %s is not barred: %+v", name, tc.barred, changes)
		}
	}
	if text, _ := os.ReadFile(filepath.Join(outside, "victim")); string(text) != "mine" {
		t.Errorf("the host's file is %q", text)
	}
}

func TestHostsLinksAreNotFollowed(t *testing.T) {
	outside, _ := lay(t, map[string]string{"victim": "mine"})
	dir, host := lay(t, map[string]string{"out": "-> " + outside, "file": "-> " + outside + "/victim"})
	other, _ := lay(t, map[string]string{"out/victim": "evil", "file": "evil"})
	tree, stage := carried(t, other)
	changes, err := Compare(tree, stage, host)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.What != Gone && c.Barred == "" {
			t.Errorf("%s is not barred", c.Path)
		}
		c.Barred = "" // and if it were tried nevertheless
		if c.What != Gone {
			_ = Put([]Change{c}, tree, stage, host)
		}
	}
	if text, _ := os.ReadFile(filepath.Join(outside, "victim")); string(text) != "mine" {
		t.Errorf("the host's file is %q in %s", text, dir)
	}
}

func TestCompareAndPut(t *testing.T) {
	dir, host := lay(t, map[string]string{"same": "s", "old": "1", "gone": "g", "sub/x": "x", "tool": "plain", ".git/config": "[core]"})
	other, _ := lay(t, map[string]string{
		"same": "s", "old": "2", "sub/x": "x", "fresh/deep/f": "f", "tool": "#!plain", "p": "#!/bin/sh", "l": "-> old",
		".git/config": "[core]\n\tfsmonitor = evil", ".git/hooks/pre-commit": "#!evil", ".git/refs/heads/a": "0", ".vscode/tasks.json": "{}", "AGENTS.md": "obey",
		"inner/HEAD": "ref", "inner/config": "[core]", "inner/objects/x": "", "inner/refs/x": "",
	})
	tree, stage := carried(t, other)
	changes, err := Compare(tree, stage, host)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	var chosen []Change
	for _, c := range changes {
		if c.Barred != "" {
			t.Errorf("barred: %+v", c)
		}
		said[c.Path] = c.What
		if c.Risk != "" {
			said[c.Path] += "!"
		} else {
			chosen = append(chosen, c)
		}
	}
	for name, want := range map[string]string{
		"old": "changed", "gone": "gone", "fresh/deep/f": "new", "tool": "changed!", "p": "new!", "l": "new!", ".git/config": "changed!", ".git/hooks/pre-commit": "new!",
		".git/refs/heads/a": "new", ".vscode/tasks.json": "new!", "AGENTS.md": "new!", "inner/config": "new!", "same": "", "sub/x": "",
	} {
		if said[name] != want {
			t.Errorf("%s is %q, want %q", name, said[name], want)
		}
	}
	if err := Put(chosen, tree, stage, host); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"old": "2", "fresh/deep/f": "f", "tool": "plain", ".git/config": "[core]"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"gone", "p", "AGENTS.md", ".bottle-part"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there", name)
		}
	}
}

func TestRisk(t *testing.T) {
	for _, name := range []string{
		".git/hooks/post-checkout", ".GIT/Hooks/x", ".git/config", ".git /config", ".git./config", "git~1/config", ".g\u200cit/config", ".git::$INDEX_ALLOCATION/config",
		"sub/.git/config.worktree", ".git/objects/info/alternates", ".git/info/attributes", ".git/modules/m/config", ".git/commondir",
		".gitmodules", ".vscode/settings.json", ".VSCode/Tasks.json", "x/.idea/workspace.xml", "p.code-workspace", ".envrc", "pkg/.env", ".env.local",
		".claude/settings.json", "CLAUDE.md", "src/AGENTS.md", ".mcp.json", ".cursor/rules/x.mdc", ".codex/config.toml", ".github/workflows/ci.yml", ".github/copilot-instructions.md",
		".husky/pre-commit", "lefthook.yml", ".npmrc", ".cargo/config.toml", ".yarn/releases/y.cjs", ".devcontainer/devcontainer.json",
	} {
		if Risk(name) == "" {
			t.Errorf("%s passes", name)
		}
	}
	for _, name := range []string{
		"main.go", "src/git/config", "docs/agents/list.md", ".gitignore", ".gitattributes", ".git/objects/ab/cdef", ".git/objects/pack/pack-1.pack", ".git/HEAD", ".git/refs/heads/x", ".git/index",
		".github/ISSUE_TEMPLATE.md", "env.go", "Makefile", "package.json", ".cargo", "environment.yml",
	} {
		if why := Risk(name); why != "" {
			t.Errorf("%s: %s", name, why)
		}
	}
}

// Whatever an archive holds, nothing is written outside of the stage, and no
// change that is not barred leads out of the host's directory.
func FuzzUnpack(f *testing.F) {
	f.Add(hostile(f, tar.Header{Typeflag: tar.TypeReg, Name: "workspace/a"}, tar.Header{Typeflag: tar.TypeSymlink, Name: "workspace/b", Linkname: "../x"}).Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		_, stage := lay(t, nil)
		tree, _, err := Unpack(bytes.NewReader(archive), "workspace", stage)
		if err != nil {
			return
		}
		for name := range tree {
			if !fs.ValidPath(name) {
				t.Errorf("%q", name)
			}
		}
		dir, host := lay(t, nil)
		changes, err := Compare(tree, stage, host)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.Barred != "" {
				continue
			}
			_ = Put([]Change{c}, tree, stage, host) // a name may be too long for the disk
			if target, err := os.Readlink(filepath.Join(dir, c.Path)); err == nil {
				to := filepath.Join(dir, filepath.Dir(c.Path), target)
				if rel, err := filepath.Rel(dir, to); err != nil || !filepath.IsLocal(rel) {
					t.Errorf("%s leads to %s", c.Path, target)
				}
			}
		}
	})
}

func FuzzRisk(f *testing.F) {
	f.Add(".git/hooks/x")
	f.Fuzz(func(t *testing.T, name string) {
		if Risk(name) != Risk(strings.ToUpper(strings.ToLower(name))) && strings.ToLower(name) == name && isASCII(name) {
			t.Errorf("case matters for %q", name)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}
