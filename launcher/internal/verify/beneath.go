package verify

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// machineAttempts go for what is beneath a virtual machine: its link, its hardware,
// and the process that runs it.
func machineAttempts() []*attempt {
	return slices.Concat(linkAttempts(), []*attempt{
		only(machine, &attempt{id: "machine-kernel", words: "the host's kernel", plan: fixed("facts", "boot"), judge: judgeKernel}),
		only(machine, &attempt{id: "machine-disks", words: "disks of others, and to write the image's", plan: fixed("facts", "disks"), judge: judgeDisks}),
		only(machine, &attempt{id: "machine-hardware", words: "hardware that nobody meant: passed through, shared memory, USB", plan: fixed("facts", "hardware"), judge: judgeHardware}),
		only(machine, &attempt{id: "machine-ports", words: "serial ports to the host but the launcher's", plan: fixed("facts", "ports"), judge: judgePorts}),
		only(machine, &attempt{id: "machine-channel", words: "the launcher's port, the console, the disks and the memory, as files", judge: judgeShut, plan: fixed("read",
			"/dev/vport0p1", "/dev/vport1p1", "/dev/vport2p1", "/dev/virtio-ports/bottle.exec", "/dev/hvc0", "/dev/ttyS0", "/dev/ttyS1", "/dev/vda", "/dev/vdb", "/dev/mem", "/dev/kmem", "/dev/hwrng", "/dev/rtc0", "/dev/nvram", "/dev/cpu/0/msr", "/sys/firmware/qemu_fw_cfg/by_name", "/sys/kernel/debug", "/proc/kcore")}),
		only(machine, &attempt{id: "machine-doors", words: "ports of the emulated hardware", judge: judgeForbidden, plan: fixed("power", "iopl", "ioperm")}),
		only(machine, &attempt{id: "machine-host-sockets", words: "sockets to the hypervisor, to every number that could be the host", judge: judgeShut, plan: fixed("vsock", "0", "1", "2", "3", "4294967295")}),
		only(machine, &attempt{id: "machine-memory", words: "more memory than the bottle's limit", plan: fixed("facts", "total memory"), judge: judgeMachineMemory}),
		only(machine, outside("gateway-forwards", "a port forwarded that is not the agent's to use", judgeForwards)),
		only(machine, outside("monitor-powers", "a monitor with capabilities, as root, or without a filter", judgeMonitorPowers)),
		only(machine, outside("monitor-network", "a monitor with a network of its own", judgeMonitorNetwork)),
		only(machine, outside("monitor-files", "a monitor that holds files of others", judgeMonitorFiles)),
		only(machine, outside("monitor-arguments", "a token among the monitor's arguments, or a door that they open", judgeMonitorArguments)),
	})
}

func judgeKernel(_ *evidence, p *plan) (result, seen string) {
	own, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Error, "the host's own kernel does not tell which it is: " + err.Error()
	}
	if len(p.report.Facts) == 0 {
		return Error, "the guest's kernel does not tell which it is"
	}
	if slices.Contains(p.report.Facts, strings.TrimSpace(string(own))) {
		return Open, "the guest runs on the host's kernel"
	}
	return Held, "its kernel was booted as " + p.report.Facts[0] + ", which is not the host's"
}

func judgeDisks(_ *evidence, p *plan) (result, seen string) {
	want := []string{"vda ro=1", "vdb ro=0"}
	for _, f := range p.report.Facts {
		if !slices.Contains(want, f) {
			return Open, "there is the disk " + f
		}
	}
	if len(p.report.Facts) != len(want) {
		return Error, "the machine's own disks are not seen: " + strings.Join(p.report.Facts, ", ")
	}
	return Held, "the image's, to read, and its own"
}

// hardware is what a machine of the launcher's is made of, as vendor:device.
var hardware = map[string]string{
	"8086:1237": "the bridge", "8086:7000": "the bridge", "8086:7010": "the controller of no disks", "8086:7113": "power",
	"1af4:1000": "the card", "1af4:1041": "the card", "1af4:1001": "a disk", "1af4:1042": "a disk", "1af4:1003": "the serial port", "1af4:1043": "the serial port",
}

func judgeHardware(_ *evidence, p *plan) (result, seen string) {
	cards := 0
	for _, id := range p.report.Facts {
		what, ok := hardware[id]
		if !ok {
			return Open, "there is the device " + id
		}
		if what == "the card" {
			cards++
		}
	}
	if cards != 1 {
		return Open, fmt.Sprintf("there are %d network cards", cards)
	}
	return Held, fmt.Sprintf("%d devices, all of them meant", len(p.report.Facts))
}

func judgePorts(_ *evidence, p *plan) (result, seen string) {
	if !slices.Equal(p.report.Facts, []string{"bottle.exec"}) {
		return Open, "there are the ports " + strings.Join(p.report.Facts, ", ")
	}
	return Held, "the launcher's alone"
}

// judgeMachineMemory holds what the machine has against what its monitor was told.
func judgeMachineMemory(e *evidence, p *plan) (result, seen string) {
	pid, err := e.site.monitor()
	if err != nil {
		return Error, err.Error()
	}
	given, ok := strings.CutSuffix(argumentAfter(argumentsOf(pid), "-m"), "M")
	most, err := strconv.ParseInt(given, 10, 64)
	if err != nil || !ok {
		return Open, "the monitor was given no limit"
	}
	for _, line := range p.report.Facts {
		if text, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			if err != nil || kib>>10 > most {
				return Open, fmt.Sprintf("the machine has %s, and its monitor was given %d MiB", text, most)
			}
			return Held, fmt.Sprintf("%d of %d MiB", kib>>10, most)
		}
	}
	return Error, "the machine does not tell how much it has"
}

// judgeForwards wants the gateway's file to forward the agent's ports, and no others.
func judgeForwards(_ context.Context, s *site) (result, seen string) {
	var want []string
	for component := range s.containers {
		want = append(want, withPortTexts(s.address(component, "inside"), s.meant(component))...)
	}
	for _, f := range s.machine.forwards {
		if !slices.Contains(want, f) {
			return Open, "the gateway forwards " + f
		}
	}
	return Held, fmt.Sprintf("%d ports, each of them the agent's", len(s.machine.forwards))
}
