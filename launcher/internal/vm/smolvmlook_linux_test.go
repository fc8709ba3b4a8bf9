package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// recorded holds what the stand-in was asked against the golden file.
func recorded(t *testing.T, dir, bin string) {
	t.Helper()
	calls, err1 := os.ReadFile(filepath.Join(dir, "calls"))
	env, err2 := os.ReadFile(filepath.Join(dir, "environment"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	got := "# the environment\n" + strings.ReplaceAll(string(env), bin, "ROOTFS") + "\n# the calls\n" + string(calls)
	file := filepath.Join("testdata", "smolvm.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s is not what is run (-update after a look): %v\n%s", file, err, got)
	}
}

// inNetwork lists the processes of a process's network.
func inNetwork(t *testing.T, pid int) (pids []int) {
	t.Helper()
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, f := range all {
		if l, err := os.Readlink(f); err == nil && l == its {
			n, _ := strconv.Atoi(strings.Split(f, "/")[2])
			pids = append(pids, n)
		}
	}
	return pids
}

// gone makes sure that processes end.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for range 100 {
		left := 0
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				left++
			}
		}
		if left == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("some of %v still run", pids)
}
