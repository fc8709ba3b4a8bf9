package guestinit

import "testing"

func TestVsockPort(t *testing.T) {
	for line, want := range map[string]uint32{
		"console=hvc0 bottle.vsock=1024 quiet\n": 1024, "quiet": 0, "": 0, "bottle.vsock=": 0, "bottle.vsock=-1": 0, "x.bottle.vsock=5": 0,
	} {
		if got := vsockPort(line); got != want {
			t.Errorf("%q: %d, not %d", line, got, want)
		}
	}
}
