package vm

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestCommandLineGolden(t *testing.T) {
	var b strings.Builder
	for _, tc := range []struct {
		accel string
		Config
	}{
		{"kvm", Config{Name: "demo-abcde", CPUs: 2, Memory: 4 << 30, MAC: "52:00:00:00:00:01", MTU: 65520}},
		{"tcg", Config{Name: "demo-abcde", CPUs: 1, Memory: 1 << 30, MAC: "52:00:00:00:00:01", MTU: 1500, Verbose: true}},
	} {
		b.WriteString(strings.Join(qemuArgs(tc.Config, tc.accel), "\n") + "\n\n")
	}
	file := filepath.Join("testdata", "qemu.golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != b.String() {
		t.Errorf("%s is not what is run (-update after a look): %v\n%s", file, err, b.String())
	}
}

// The archive is one that cpio itself reads.
func TestInitrd(t *testing.T) {
	dir := t.TempDir()
	kit := &Kit{Init: filepath.Join(dir, "guestinit"), Modules: filepath.Join(dir, "modules")}
	for name, text := range map[string]string{"guestinit": "#!init", "modules/order": "a.ko\n", "modules/a.ko": "elf", "skills/x/run.sh": "echo", "ca/agent/a.crt": "cert", "secret": "no"} {
		file := filepath.Join(dir, name)
		_ = os.MkdirAll(filepath.Dir(file), 0o755)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "skills/x/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out, again bytes.Buffer
	for _, w := range []io.Writer{&out, &again} {
		if err := writeInitrd(w, kit, []byte("{}"), dir, []string{"skills", "ca/agent", "skills"}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("equal files make other archives")
	}
	if strings.Contains(out.String(), "secret") {
		t.Error("something else of the bottle is in it")
	}
	if err := os.Symlink("/etc/shadow", filepath.Join(dir, "skills/x/link")); err != nil {
		t.Fatal(err)
	}
	if err := writeInitrd(io.Discard, kit, nil, dir, []string{"skills"}); err == nil {
		t.Error("a link is followed")
	}
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("there is no cpio here to hold it against")
	}
	cmd := exec.Command(cpio, "-tv")
	cmd.Stdin = &out
	list, err := cmd.Output()
	for _, want := range []string{"init", "bottle/modules/order", "bottle/guest.json", "bottle/files/skills/x/run.sh", "bottle/files/ca/agent/a.crt"} {
		if err != nil || !strings.Contains(string(list), want) {
			t.Errorf("%s is not in it: %v\n%s", want, err, list)
		}
	}
}

// The probe tells an accelerator that boots from one that does not.
func TestProbe(t *testing.T) {
	if _, err := tool(qemu); err != nil {
		t.Skip(err)
	}
	if !boots(t.Context(), "tcg") {
		t.Error("emulation boots nothing")
	}
	if boots(t.Context(), "nonsense") {
		t.Error("what is not there boots")
	}
}

// A disk that could not be made is not taken for one.
func TestImageFails(t *testing.T) {
	dir := t.TempDir()
	_, err := Image(t.Context(), dir, "sha256:1", func(_ context.Context, w io.Writer) error {
		_, _ = w.Write([]byte("no archive"))
		return io.ErrUnexpectedEOF
	})
	if err == nil {
		t.Error("a damaged image became a disk")
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*.ext4"))
	if part, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left)+len(part) != 0 {
		t.Errorf("left: %v %v", left, part)
	}
}

func TestKitIsMissing(t *testing.T) {
	if _, err := FindKit(func(string) string { return "/nowhere" }); err == nil || !strings.Contains(err.Error(), "make guest") {
		t.Error(err)
	}
}

// Paths of any length lead to a socket.
func TestLongSocketPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s.sock")
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
