//go:build !linux

package testkit

import (
	"os/exec"
	"testing"
)

// Terminal is a person at a terminal, which tests have on Linux only.
type Terminal struct{}

// StartAtTerminal skips the test.
func StartAtTerminal(t *testing.T, _ *exec.Cmd) *Terminal {
	t.Helper()
	t.Skip("tests have a terminal on Linux only")
	return nil
}

// The methods of a Terminal are never called here.
func (*Terminal) Resize(rows, columns uint16) {}
func (*Terminal) Shown() string               { return "" }
func (*Terminal) Type(line string)            {}
func (*Terminal) Answer(text, line string)    {}
func (*Terminal) Until(text string)           {}
func (*Terminal) Status() int                 { return 0 }
