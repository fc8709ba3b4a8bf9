package vm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// Finding is one thing that virtual machines need: what was found, or what is
// missing with its remedy.
type Finding struct {
	What, Found string
	Missing     error
}

// Examine looks at all that virtual machines could be started with here, whichever
// driver is used.
func Examine(ctx context.Context, getenv func(string) string) []Finding {
	var out []Finding
	add := func(what, found string, err error) { out = append(out, Finding{what, found, err}) }
	found, err := examineKVM(ctx)
	add("KVM", found, err)
	found, err = examineQEMU(ctx)
	add("qemu", found, err)
	kit, err := FindKit(getenv)
	if err == nil {
		found = "with the kernel " + kit.Kernel
	}
	add("guest kit", found, err)
	found, err = tool("mke2fs")
	add("e2fsprogs", found, err)
	other := "smolvm"
	if runtime.GOOS == "darwin" {
		other = "unixgram"
	}
	d, err := NewDriver(other, getenv)
	if err == nil {
		found, err = d.Check(ctx)
	}
	add(other, found, err)
	return out
}

// examineKVM tells whether KVM boots a machine, not only whether it is there.
func examineKVM(ctx context.Context) (string, error) {
	if runtime.GOOS != "linux" {
		return "not of this system", nil
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", &engine.Problem{What: "there is no /dev/kvm, so virtual machines are emulated, slowly", Remedy: "turn virtualisation on and load kvm_intel or kvm_amd"}
	case err != nil:
		return "", &engine.Problem{What: "/dev/kvm is not yours to use, so virtual machines are emulated, slowly", Remedy: "join the group kvm"}
	}
	_ = f.Close()
	if _, err := tool(qemu); err != nil {
		return "here; whether it boots a machine can be told with QEMU only", nil
	}
	if os.Getuid() == 0 && rootsAlone("/dev/kvm") {
		return "", &engine.Problem{What: "/dev/kvm is root's alone, and machines run as another user, so virtual machines are emulated, slowly", Remedy: "give it to a group: chgrp kvm /dev/kvm && chmod 660 /dev/kvm"}
	}
	if !boots(ctx, "kvm") {
		return "", &engine.Problem{What: "/dev/kvm opens and boots no machine, so virtual machines are emulated, slowly", Remedy: "if this host is a virtual machine itself, allow nested virtualisation on its own"}
	}
	return "boots a machine", nil
}

// examineQEMU tells QEMU's version, and whether it boots anything.
func examineQEMU(ctx context.Context) (string, error) {
	file, err := tool(qemu)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "--version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	version, _, _ := strings.Cut(strings.TrimPrefix(string(out), "QEMU emulator "), "\n")
	if err != nil || !boots(ctx, "tcg") {
		return "", &engine.Problem{What: file + " is there and boots no machine", Remedy: "install qemu-system-x86 anew"}
	}
	return version + ", boots a machine", nil
}
