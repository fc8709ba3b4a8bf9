package command

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The agent can write into its container's log what it likes; none of it may
// act on the operator's terminal, whether the bottle is up or stopped.
func TestLogsHoldNoEscapes(t *testing.T) {
	fake, err := placeFake(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]string{
		"running": `agent-1  | \x1b[2J\x1b]0;pwned\x07 hello` + "\n",
		"stopped": "==> agent.log\n" + `saved \x1b[2J\u202e\u009b31m` + "\nend\n",
	} {
		home := t.TempDir()
		logs := filepath.Join(home, "state", "demo-abcde", "logs")
		if err := os.MkdirAll(logs, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(logs, "agent.log"), []byte("saved \x1b[2J\u202e\u009b31m\r\nend"), 0o600); err != nil {
			t.Fatal(err)
		}
		meta := `{"version":1,"identity":"demo-abcde","state":"` + state + `"}`
		if err := os.WriteFile(filepath.Join(logs, "..", "metadata.json"), []byte(meta), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"logs", "demo-abcde"}, {"logs", "-f", "demo-abcde"}} {
			var out, errs strings.Builder
			env := []string{"BOTTLE_HOME=" + home, "PATH=" + fake, "DOCKER_CONFIG=" + t.TempDir()}
			if err := Run(context.Background(), append([]string{"launcher"}, args...), env, Stdio{Out: &out, Err: &errs}); err != nil {
				t.Fatal(err)
			}
			if out.String() != want || errs.String() != "" {
				t.Errorf("%s %v: got %q, %q", state, args, out.String(), errs.String())
			}
		}
	}
}
