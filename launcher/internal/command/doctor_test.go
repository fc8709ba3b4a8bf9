package command

import (
	"strings"
	"testing"
	"time"
)

func TestExamineClock(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		now, engines time.Time
		want         string // of the fault
	}{
		{now, now.Add(30 * time.Second), ""},
		{now, time.Time{}, ""},
		{now, now.Add(-10 * time.Minute), "10m0s apart from the engine's"},
		{time.Unix(0, 0), time.Unix(0, 0), "before this program was written"},
	} {
		_, err := examineClock(c.now, c.engines)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, %v: %v", c.now, c.engines, err)
		}
	}
}

func TestExaminePorts(t *testing.T) {
	for _, c := range []struct {
		env   map[string]string
		fault bool
	}{
		{nil, false},
		{map[string]string{"DOCKER_HOST": "unix:///run/docker.sock"}, false},
		{map[string]string{"DOCKER_HOST": "tcp://192.0.2.1:2375"}, true},
		{map[string]string{"DOCKER_HOST": "tcp://192.0.2.1:2376", "DOCKER_TLS_VERIFY": "1"}, false},
	} {
		if _, err := (&run{env: c.env}).examinePorts(); (err != nil) != c.fault {
			t.Errorf("%v: %v", c.env, err)
		}
	}
}

// What machines need is told with its remedy, and is a fault only where it was
// asked for.
func TestExamineMachines(t *testing.T) {
	home := t.TempDir()
	look := func(env map[string]string) (faults, all string) {
		(&run{env: env}).examineMachines(t.Context(), home, func(what, found string, err error) {
			if err != nil {
				faults += what + ": " + err.Error() + "\n"
			}
			all += what + ": " + found + "\n"
		})
		return faults, all
	}
	env := map[string]string{"PATH": home, "BOTTLE_GUEST": "/nowhere"}
	faults, all := look(env)
	if faults != "" {
		t.Errorf("faults of a host for containers:\n%s", faults)
	}
	for _, want := range []string{"KVM: ", "qemu: ", "guest kit: for virtual machines only: /nowhere/vmlinuz, which", "run `make guest`", "e2fsprogs: ", "machines' disk: "} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not told:\n%s", want, all)
		}
	}
	env["BOTTLE_VM_DRIVER"] = "smolvm"
	if faults, _ := look(env); !strings.Contains(faults, "smolvm: ") || !strings.Contains(faults, "guest kit: ") || strings.Contains(faults, "qemu: ") {
		t.Errorf("of the driver smolvm:\n%s", faults)
	}
	env["BOTTLE_VM_DRIVER"] = "qmeu"
	if faults, _ := look(env); !strings.Contains(faults, `there is no driver "qmeu" (did you mean "qemu"?)`) {
		t.Errorf("of a driver that is none:\n%s", faults)
	}
}

func TestRoomFor(t *testing.T) {
	if _, err := roomFor("/proc"); err == nil {
		t.Error("there is room in /proc")
	}
	bytes, files, err := room(t.TempDir() + "/not/there/yet")
	if err != nil || bytes == 0 || files == 0 {
		t.Errorf("%d, %d, %v", bytes, files, err)
	}
}
