package command

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"launcher": func() {
			os.Exit(Status(Run(context.Background(), os.Args, os.Environ(), Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})))
		},
		"engine": runFakeEngine,
	})
}

// The scripts are the launcher's manners, one file for each; none needs Docker.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			launcher, err := exec.LookPath("launcher")
			if err != nil {
				return err
			}
			fake, err := placeFake(e.WorkDir)
			if err != nil {
				return err
			}
			e.Setenv("BOTTLE_HOME", e.WorkDir+"/home")
			e.Setenv("BIN", filepath.Dir(launcher)) // a PATH with the launcher and no docker
			e.Setenv("FAKE", fake)                  // a directory with a docker that pretends
			e.Setenv("DOCKER_HOST", fakeHost)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":   func(ts *testscript.TestScript, _ bool, args []string) { status(ts, args) },
			"metadata": func(ts *testscript.TestScript, _ bool, args []string) { metadata(ts, args) },
			"absent":   func(ts *testscript.TestScript, _ bool, args []string) { absent(ts, args) },
			"mode":     func(ts *testscript.TestScript, _ bool, args []string) { mode(ts, args) },
		},
	})
}

// fakeHost is an engine to which only the client knows the way, so that the one
// that pretends is asked and never one of this machine.
const fakeHost = "ssh://pretended"

// placeFake puts the docker that pretends into a directory of its own, with its
// engine, which this test binary is by that name.
func placeFake(work string) (dir string, err error) {
	dir = filepath.Join(work, "fake")
	script, err := os.ReadFile(filepath.Join("testdata", "fake", "docker"))
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return dir, errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "docker"), script, 0o755),
		os.Symlink(self, filepath.Join(dir, "engine")))
}

// status WANT COMMAND... runs a command that must end with a status.
func status(ts *testscript.TestScript, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ProcessState.String()[len("exit status "):]
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != args[0] {
		ts.Fatalf("status %s, not %s", got, args[0])
	}
}

// metadata WANT looks for a text in the metadata of the one launch.
func metadata(ts *testscript.TestScript, args []string) {
	files, err := filepath.Glob(ts.MkAbs("home/state/*/metadata.json"))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("there are %d launches", len(files))
	}
	if data := ts.ReadFile(files[0]); !strings.Contains(data, args[0]) {
		ts.Fatalf("got %s", data)
	}
}

// absent TEXT DIR... checks that no file below the directories holds a text.
func absent(ts *testscript.TestScript, args []string) {
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if strings.Contains(string(data), args[0]) {
				ts.Fatalf("%s holds %q", path, args[0])
			}
			return err
		}))
	}
}

// mode WANT FILE... checks permissions.
func mode(ts *testscript.TestScript, args []string) {
	for _, name := range args[1:] {
		fi, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fi.Mode().String(); got != args[0] {
			ts.Fatalf("%s is %s, not %s", name, got, args[0])
		}
	}
}
