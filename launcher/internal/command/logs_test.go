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
		"stopped": `agent | saved \x1b[2J\u202e\u009b31m` + "\nagent | end\n",
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
			want := want
			if state == "running" && args[1] != "-f" {
				want = strings.Replace(want, "agent-1  |", "agent-1 |", 1) // as wide as it is
			}
			if out.String() != want || errs.String() != "" {
				t.Errorf("%s %v: got %q, %q", state, args, out.String(), errs.String())
			}
		}
	}
}

func TestLogsAreInTheOrderOfTime(t *testing.T) {
	home := t.TempDir()
	for name, text := range map[string]string{
		"metadata.json":     `{"version":1,"identity":"demo-abcde","state":"stopped"}`,
		"logs/agent.log":    "2026-01-02T03:04:05.5Z one\n  and a half\n2026-01-02T03:04:09Z four\n",
		"logs/pipelock.log": "2026-01-02T03:04:07Z three\n2026-01-02T03:04:10Z five\n",
		"logs/egress.log":   "2026-01-02T03:04:06Z two\n",
	} {
		path := filepath.Join(home, "state/demo-abcde", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for flag, want := range map[string][]string{
		"-n=0": {"agent    | 2026-01-02T03:04:05.5Z one", "agent    |   and a half", "egress   | 2026-01-02T03:04:06Z two", "pipelock | 2026-01-02T03:04:07Z three", "agent    | 2026-01-02T03:04:09Z four", "pipelock | 2026-01-02T03:04:10Z five"},
		"-n=1": {"pipelock | 2026-01-02T03:04:10Z five"},
	} {
		var out strings.Builder
		if err := Run(context.Background(), []string{"launcher", "logs", "demo-abcde", flag}, []string{"BOTTLE_HOME=" + home}, Stdio{Out: &out, Err: &out}); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != strings.Join(want, "\n")+"\n" {
			t.Errorf("%s:\n%s", flag, got)
		}
	}
}
