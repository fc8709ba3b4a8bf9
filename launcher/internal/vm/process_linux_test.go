package vm

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRootsAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	file := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode  os.FileMode
		group int
		want  bool
	}{
		{0o600, 0, true}, {0o660, 0, true}, {0o600, 108, true}, {0o640, 108, true}, {0o664, 0, true},
		{0o660, 108, false}, {0o666, 0, false},
	} {
		if err := os.Chown(file, 0, c.group); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		if got := rootsAlone(file); got != c.want {
			t.Errorf("%s of the group %d: %t", c.mode, c.group, got)
		}
	}
	if rootsAlone(file + "gone") {
		t.Error("what is not there is root's")
	}
}
