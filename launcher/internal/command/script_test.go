package command

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"launcher": func() {
			os.Exit(Status(Run(context.Background(), os.Args, os.Environ(), Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})))
		},
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
			fake, err := filepath.Abs(filepath.Join("testdata", "fake"))
			if err != nil {
				return err
			}
			e.Setenv("BOTTLE_HOME", e.WorkDir+"/home")
			e.Setenv("BIN", filepath.Dir(launcher)) // a PATH with the launcher and no docker
			e.Setenv("FAKE", fake)                  // a directory with a docker that pretends
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": func(ts *testscript.TestScript, _ bool, args []string) { status(ts, args) },
			"mode":   func(ts *testscript.TestScript, _ bool, args []string) { mode(ts, args) },
		},
	})
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
