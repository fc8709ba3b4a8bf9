package verify

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// monitor is the process that runs the machine.
func (s *site) monitor() (pid int, err error) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	var found []int
	for _, dir := range all {
		n, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && argumentAfter(argumentsOf(n), "-name") == s.Identity {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d processes of this host say that they run the machine %s", len(found), s.Identity)
	}
	return found[0], nil
}

// argumentsOf are those of a process, nil when it is gone.
func argumentsOf(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

func argumentAfter(list []string, name string) string {
	if i := slices.Index(list, name); i >= 0 && i+1 < len(list) {
		return list[i+1]
	}
	return ""
}

// withPortTexts joins an address and ports.
func withPortTexts(address string, ports []string) (list []string) {
	for _, p := range ports {
		list = append(list, net.JoinHostPort(address, p))
	}
	return list
}

func judgeMonitorPowers(_ context.Context, s *site) (result, seen string) {
	pid, err := s.monitor()
	if err != nil {
		return Error, err.Error()
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Error, "the monitor cannot be looked at: " + err.Error()
	}
	facts := strings.Split(string(data), "\n")
	for name, want := range map[string]string{"CapEff": "", "CapPrm": "", "Seccomp": "2"} {
		if got := strings.TrimLeft(status(facts, name), "0"); got != want {
			return Open, fmt.Sprintf("%s of the monitor is %s", name, status(facts, name))
		}
	}
	if strings.HasPrefix(status(facts, "Uid"), "0") {
		return Open, "the monitor runs as root"
	}
	return Held, "the user " + strings.Fields(status(facts, "Uid"))[0] + ", no capability, a filter"
}

// judgeMonitorNetwork wants the monitor in a namespace of its own, without a link that
// is up: the card's other end is a descriptor.
func judgeMonitorNetwork(_ context.Context, s *site) (result, seen string) {
	pid, err := s.monitor()
	if err != nil {
		return Error, err.Error()
	}
	own, err1 := os.Readlink("/proc/self/ns/net")
	theirs, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	routes, err3 := os.ReadFile(fmt.Sprintf("/proc/%d/net/route", pid))
	links, err4 := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return Error, "the monitor's network cannot be looked at, which is root's or its user's to do"
	}
	if own == theirs {
		return Open, "the monitor is in the host's network"
	}
	names := 0
	for line := range strings.Lines(string(links)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			if names++; name != "lo" {
				return Open, "the monitor has the link " + name
			}
		}
	}
	if n := strings.Count(strings.TrimSpace(string(routes)), "\n"); n > 0 {
		return Open, fmt.Sprintf("the monitor has %d routes", n)
	}
	return Held, fmt.Sprintf("a namespace of its own with %d link, lo, and no route", names)
}

// judgeMonitorFiles wants the monitor to hold nothing but the parts of its machine.
func judgeMonitorFiles(_ context.Context, s *site) (result, seen string) {
	pid, err := s.monitor()
	if err != nil {
		return Error, err.Error()
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		return Error, "the monitor's descriptors cannot be listed, which is root's or its user's to do"
	}
	own := filepath.Join(s.Dir, "machine") + string(filepath.Separator)
	layer := vm.LayerIn(s.Dir).File()
	files := 0
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		switch {
		case err != nil || to == "/dev/null" || to == "/dev/kvm" || to == "/dev/urandom":
		case !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "/memfd:"): // sockets, pipes and what has no name
		case strings.HasPrefix(to, own), to == layer, strings.HasSuffix(to, ".ext4") && filepath.Base(filepath.Dir(to)) == "machines", filepath.Base(to) == "vmlinuz", filepath.Base(to) == "vmlinux":
			files++
		default:
			return Open, "the monitor holds " + to
		}
	}
	if files == 0 {
		return Error, "the monitor does not even hold the machine's disks"
	}
	return Held, fmt.Sprintf("%d descriptors, of which %d are files of the machine's", len(fds), files)
}

// doors are arguments that open something of the host's to a machine.
var doors = []string{"-virtfs", "-fsdev", "-usbdevice", "-net", "-nic", "-vnc", "-spice", "-gdb", "-s", "-qmp", "-mon", "-monitor-socket", "-tpmdev", "-object", "-smbios", "-fw_cfg", "vfio", "hostfwd", "user,", "ivshmem", "vhost", "tcp:", "telnet:"}

func judgeMonitorArguments(_ context.Context, s *site) (result, seen string) {
	pid, err := s.monitor()
	if err != nil {
		return Error, err.Error()
	}
	secrets, err := s.secrets()
	if err != nil {
		return Error, err.Error()
	}
	list := argumentsOf(pid)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return Error, "the monitor's environment cannot be read, which is root's or its user's to do"
	}
	all := strings.Join(list, "\x00") + string(env)
	for name, value := range secrets {
		if strings.Contains(all, string(value)) {
			return Open, "the monitor was told " + name
		}
	}
	for _, door := range doors {
		if slices.ContainsFunc(list, func(a string) bool {
			return a == door || !strings.HasPrefix(door, "-") && strings.Contains(a, door)
		}) {
			return Open, "the monitor was started with " + door
		}
	}
	if argumentAfter(list, "-monitor") != "none" || argumentAfter(list, "-sandbox") == "" {
		return Open, "the monitor has a prompt, or no sandbox"
	}
	return Held, fmt.Sprintf("%d arguments hold none of %d secrets and open no door", len(list), len(secrets))
}
