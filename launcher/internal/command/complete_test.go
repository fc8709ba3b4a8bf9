package command

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
)

var update = flag.Bool("update", false, "write docs/launcher.1")

// A home with two agents and a bottle, and a directory with a "launcher".
func completionHome(t *testing.T) (env []string) {
	t.Helper()
	dir := t.TempDir()
	home := bottle.Home{Dir: filepath.Join(dir, "home")}
	for path, text := range map[string]string{
		"home/agents/fixer.md": "", "home/agents/finder.md": "", "home/agents/$(boo).md": "", "bin/.keep": "",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "bin/launcher")); err != nil { // which the test binary is by this name
		t.Fatal(err)
	}
	s := home.State("fixer-4f9ka")
	if err := s.Create(); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteMetadata(bottle.Metadata{Version: 1, Identity: s.Identity, Agent: "fixer", State: bottle.StateStopped, StartedAt: time.Unix(0, 0).UTC()}); err != nil {
		t.Fatal(err)
	}
	return []string{"BOTTLE_HOME=" + home.Dir, "HOME=" + dir, "PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin", "TERM=dumb"}
}

func TestComplete(t *testing.T) {
	env := completionHome(t)
	for line, want := range map[string]string{
		"sta|":                     "start",
		"start |":                  "finder fixer",
		"start fi|":                "finder fixer",
		"start fixer |":            "",
		"start --yes fix|":         "fixer",
		"start fixer --dry|":       "--dry-run",
		"exec |":                   "fixer-4f9ka",
		"exec --user |":            "agent root",
		"exec --user root f|":      "fixer-4f9ka",
		"exec fixer-4f9ka -- ls |": "",
		"check fixer P|":           "POST PUT PATCH",
		"audit |":                  "verify tail",
		"audit verify |":           "fixer-4f9ka",
		"proposals list f|":        "fixer-4f9ka",
		"completion |":             "bash fish zsh",
		"nonsense |":               "",
		"list --j|":                "--json",
		"render fixer --output |":  "",
	} {
		words := strings.Split(strings.TrimSuffix(line, "|"), " ")
		var out bytes.Buffer
		if err := Run(context.Background(), append([]string{"launcher", completeWord}, words...), env, Stdio{Out: &out, Err: &out}); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		var got []string
		for l := range strings.Lines(out.String()) {
			word, _, ok := strings.Cut(l, "\t")
			if !ok {
				t.Errorf("%s: no tab in %q", line, l)
			}
			got = append(got, word)
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: %q, not %q", line, g, want)
		}
	}
}

// The shells themselves, with what `completion` prints.
func TestShellsComplete(t *testing.T) {
	env := completionHome(t)
	for shell, script := range map[string]string{
		"bash": `source <(launcher completion bash)
complete -p launcher >/dev/null
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _launcher; echo "${COMPREPLY[*]}"; }
try launcher start fi
try launcher exec ''
try launcher proposals ''`,
		"fish": `launcher completion fish | source
complete -C 'launcher start fi' | cut -f1 | string join ' '
complete -C 'launcher exec ' | cut -f1 | string join ' '
complete -C 'launcher proposals ' | cut -f1 | sort -u | string join ' '`,
		"zsh": `compdef() { :; }
_describe() { shift; echo ${${(P)1}%%:*}; }
_files() { echo files; }
source <(launcher completion zsh)
try() { words=("$@"); CURRENT=$#; _launcher; }
try launcher start fi
try launcher exec ''
try launcher proposals ''`,
	} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("there is no %s here", shell)
			}
			args := map[string][]string{"bash": {"--norc", "-c", script}, "fish": {"--no-config", "-c", script}, "zsh": {"-f", "-c", script}}[shell]
			cmd := exec.Command(path, args...)
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if err != nil || len(lines) != 3 || lines[0] != "finder fixer" || lines[1] != "fixer-4f9ka" {
				t.Fatalf("%v\n%s", err, out)
			}
			verbs := strings.Fields(lines[2])
			slices.Sort(verbs)
			if got := strings.Join(verbs, " "); got != "approve edit list reject show" {
				t.Errorf("proposals: %s", got)
			}
		})
	}
}

// docs/launcher.1 is what `launcher man` prints, and man has nothing to say
// against it.
func TestManual(t *testing.T) {
	var out bytes.Buffer
	if err := Run(context.Background(), []string{"launcher", "man"}, nil, Stdio{Out: &out, Err: &out}); err != nil {
		t.Fatal(err)
	}
	const file = "../../../docs/launcher.1"
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, out.Bytes()) {
		t.Errorf("docs/launcher.1 is not what the code says (go test ./internal/command -run Manual -update): %v", err)
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("there is no groff here to read it")
	}
	cmd := exec.Command(groff, "-man", "-ww", "-Tutf8", "-z")
	cmd.Stdin = &out
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("%v\n%s", err, said)
	}
}
