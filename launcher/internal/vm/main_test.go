package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bottlesuite/bottle/launcher/internal/smolvm"
)

// builtDir has what tests built for each other.
var builtDir string

// The test's own program stands for the launcher, which holds machines of
// smolvm's, and for vfkit and krunkit.
func TestMain(m *testing.M) {
	var run func() error
	switch name := filepath.Base(os.Args[0]); {
	case len(os.Args) > 1 && os.Args[1] == HolderCommand:
		run = func() error { return smolvm.Hold(os.Stdin, os.Stdout, os.Stderr) }
	case name == "vfkit" || name == "krunkit":
		run = func() error { return fakeKit(os.Args) }
	default:
		status := m.Run()
		_ = os.RemoveAll(builtDir)
		os.Exit(status)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
