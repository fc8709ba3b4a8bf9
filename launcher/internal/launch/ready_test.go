package launch

import (
	"os"
	"path/filepath"
	"testing"
)

// TestStarted: only a whole line of this start, with the configuration that was made
// for it, says that a sidecar is ready.
func TestStarted(t *testing.T) {
	const line = `{"event":"start","detail":"configuration abc"}` + "\n"
	for name, c := range map[string]struct {
		text string
		from int64
		want bool
	}{
		"ready":                 {line, 0, true},
		"behind others":         {`{"event":"dns"}` + "\n" + line, 0, true},
		"half a line":           {line[:len(line)-1], 0, false},
		"of an earlier start":   {line, int64(len(line)), false},
		"again":                 {line + line, int64(len(line)), true},
		"another configuration": {`{"event":"start","detail":"configuration abd"}` + "\n", 0, false},
		"a reload":              {`{"event":"reload","detail":"configuration abc"}` + "\n", 0, false},
		"nothing":               {"", 0, false},
	} {
		file := filepath.Join(t.TempDir(), "a.jsonl")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := started(file, c.from, "configuration abc"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if started(filepath.Join(t.TempDir(), "none"), 0, "x") {
		t.Error("a log that is not there told of a start")
	}
}
