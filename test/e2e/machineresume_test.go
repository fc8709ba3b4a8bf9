package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/test/trial"
)

// TestMachineResumeAfterSIGKILL kills the launcher of a machine, and with it the
// machine. Without a cleanup the agent goes on with what it wrote, in its home and
// elsewhere; the disk ends with a stop in order.
func TestMachineResumeAfterSIGKILL(t *testing.T) {
	w := needMachines(t)
	home := w.machineHome(t)
	b := w.mustStart(t, home, "machinist", "--backend", "smolmachines")
	b.shell(t, "echo soon >~/workspace/soon; ln -s /etc/shadow ~/workspace/link; rm ~/.profile; echo home >~/at-home; sleep 4")
	if r := b.exec(t, "root", "echo system >/opt/note"); r.Status != 0 {
		t.Fatal(r)
	}
	b.shell(t, "echo synced >~/workspace/synced; sync")
	if r := w.run(t, home, "resume", b.id, "--yes"); r.Status != 2 || !strings.Contains(r.Stderr, "is running") {
		t.Errorf("resumed while it runs: %s", r)
	}
	if _, err := b.Signal(syscall.SIGKILL); err != nil {
		t.Log(err)
	}
	if all := w.list(t, home); len(all) != 1 || all[0].State != "orphaned" {
		t.Errorf("after SIGKILL the home lists %+v", all)
	}
	if remains(b.id) == nil {
		t.Error("nothing is left of the bottle, so this proves nothing")
	}
	if r := w.run(t, home, "copy-out", b.id, t.TempDir(), "--yes"); r.Status == 0 || !strings.Contains(r.Stderr, "which only a machine opens") {
		t.Errorf("copy-out of a disk: %s", r)
	}

	// The second launcher is killed, too, at once.
	before := w.upstream.Mark()
	again := w.operator(home).Command(t.Context(), "resume", b.id, "--yes", "--headless")
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	inside := &bottle{&trial.Bottle{Operator: w.operator(home), ID: b.id, State: b.dir}, b.id, b.dir}
	for deadline := time.Now().Add(machineTime); w.list(t, home)[0].State != "running"; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the bottle was not resumed")
		}
	}
	const look = "cd ~ && cat workspace/soon workspace/synced at-home /opt/note; readlink workspace/link; test -e .profile || echo no profile"
	const want = "soon\nsynced\nhome\nsystem\n/etc/shadow\nno profile\n"
	if got := inside.shell(t, look+"; curl -sS -m 30 "+w.url("api", "/v1/hello")+" >/dev/null"); got != want {
		t.Errorf("resumed: %q", got)
	}
	if seen := w.upstream.Since(before); len(seen) != 1 || seen[0].Header.Get("Authorization") != "Bearer "+w.token {
		t.Errorf("the upstream saw %d requests: %+v", len(seen), seen)
	}
	inside.shell(t, "echo later >>~/workspace/soon; sync")
	machines := monitors(b.id)
	if len(machines) != 1 {
		t.Errorf("the machine has the monitors %v", machines)
	}
	_ = again.Process.Kill()
	_ = again.Wait()

	r := w.runFor(t, machineTime, home, "resume", b.id, "--yes", "--", "sh", "-c", look)
	if r.Status != 0 || r.Stdout != strings.Replace(want, "soon\n", "soon\nlater\n", 1) {
		t.Errorf("after another crash: %s", r)
	}
	if err := remains(b.id); err != nil {
		t.Error(err)
	}
	if ms := monitors(b.id); len(ms) != 0 {
		t.Errorf("the monitors %v are left", ms)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "disk")); !os.IsNotExist(err) {
		t.Errorf("a machine that was stopped in order left its disk: %v", err)
	}
	if r := w.run(t, home, "audit", "verify", b.id); r.Status != 0 {
		t.Errorf("audit verify: %s", r)
	}
	spoilt(t, w, home)
}

// spoilt has a disk that is not as it was left refused, and never made anew.
func spoilt(t *testing.T, w *world, home string) {
	t.Helper()
	b := w.mustStart(t, home, "machinist", "--backend", "smolmachines")
	if _, err := b.Signal(syscall.SIGKILL); err != nil {
		t.Log(err)
	}
	disk := filepath.Join(b.dir, "disk", "layer.ext4")
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 64<<10), 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := w.runFor(t, machineTime, home, "resume", b.id, "--yes", "--", "true")
		if r.Status == 0 || !strings.Contains(r.Stderr, "is not made anew") || !strings.Contains(r.Stderr, "launcher cleanup "+b.id) {
			t.Errorf("with a damaged disk: %s", r)
		}
	}
	if err := os.Truncate(disk, 1<<20); err != nil {
		t.Fatal(err)
	}
	if r := w.run(t, home, "resume", b.id, "--yes", "--", "true"); r.Status == 0 || !strings.Contains(r.Stderr, "is not as it was left") {
		t.Errorf("with half a disk: %s", r)
	}
	if r := w.run(t, home, "cleanup", "--yes", b.id); r.Status != 0 || !strings.Contains(r.Stdout, "the disk of the agent's machine") {
		t.Errorf("cleanup: %s", r)
	}
}

// TestMachineThatEnds kills QEMU under a launcher that lives: the home directory
// cannot be asked for any more, so that the disk is kept instead.
func TestMachineThatEnds(t *testing.T) {
	w := needMachines(t)
	home := w.machineHome(t)
	b := w.mustStart(t, home, "machinist", "--backend", "smolmachines")
	b.shell(t, "echo synced >~/workspace/synced; sync")
	for _, pid := range monitors(b.id) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(execTime); b.Up(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the launcher stays without its machine: ", b.Stderr())
		}
	}
	if s := b.Stderr(); !strings.Contains(s, "its disk is kept instead") || !strings.Contains(s, "launcher resume "+b.id) {
		t.Errorf("the launcher says %s", s)
	}
	if err := remains(b.id); err != nil {
		t.Error(err)
	}
	r := w.runFor(t, machineTime, home, "resume", b.id, "--yes", "--", "cat", "synced")
	if r.Status != 0 || r.Stdout != "synced\n" {
		t.Errorf("resumed: %s", r)
	}
}
