package verify

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// infraAttempts go for the kernel, the engine and the host's files.
func infraAttempts() []*attempt {
	return slices.Concat([]*attempt{
		{id: "capabilities", words: "a capability in any set", plan: fixed("facts", "status"), judge: judgeCapabilities},
		{id: "no-new-privileges", words: "new privileges by a program", plan: fixed("facts", "status"), judge: wantStatus("NoNewPrivs", "1")},
		notGVisor(only(container, &attempt{id: "seccomp", words: "system calls without a filter", plan: fixed("facts", "status"), judge: wantStatus("Seccomp", "2")})),
		only(container, &attempt{id: "namespaces", words: "namespaces of the host's", plan: fixed("facts", "namespaces"), judge: judgeNamespaces}),
		{id: "mounts", words: "paths of the host", plan: fixed("facts", "mounts"), judge: judgeMounts},
		{id: "routes", words: "a route to anywhere but the proxy's network", plan: fixed("facts", "routes"), judge: judgeRoutes},
		{id: "routes-6", words: "an IPv6 address or route", plan: fixed("facts", "inet6"), judge: judgeNoFacts},
		{id: "addresses", words: "an interface on another network", plan: fixed("facts", "addresses"), judge: judgeAddresses},
		notGVisor(only(container, &attempt{id: "process-limit", words: "more processes than the bottle's limit", plan: fixed("facts", "pids"), judge: judgeLimit(pidsOf)})),
		only(container, &attempt{id: "memory-limit", words: "more memory than the bottle's limit", plan: fixed("facts", "memory"), judge: judgeLimit(memoryOf)}),
		{id: "setuid", words: "a program that becomes somebody else", plan: fixed("find", "setuid"), judge: judgeNoFacts},
		{id: "file-capabilities", words: "a program with capabilities of its own", plan: fixed("find", "filecap"), judge: judgeNoFacts},
		{id: "device-files", words: "devices beyond null, random and terminals", plan: fixed("find", "device"), judge: judgeDevices},
		{id: "engine-sockets", words: "sockets of an engine in any place", plan: fixed("find", "socket"), judge: judgeSockets},
		{id: "engine-socket", words: "the engine's socket in its usual places", judge: judgeShut,
			plan: fixed("unix", "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/crio/crio.sock", "/run/buildkit/buildkitd.sock", "/run/libvirt/libvirt-sock", "/run/dbus/system_bus_socket")},
		{id: "engine-port", words: "the engine's port", plan: targets("tcp", func(v *view) ([]string, string) { return withPorts(append(v.gateways(), nobody), 2375, 2376), "" }), judge: judgeShut},
		{id: "trust", words: "a second authority to be trusted", plan: fixed("trust"), judge: judgeTrust},
		{id: "secrets", words: "a token or a key of the bottle's in environments, arguments and files", plan: fixed(harvestTool), judge: judgeHarvest},
		{id: "write-mounts", words: "to write what is given to be read", judge: judgeShut, plan: targets("write", mountPoints)},
		{id: "write-kernel", words: "to write settings of the kernel", judge: judgeShut, plan: targets("write", kernelSettings)},
		{id: "read-kernel", words: "to read what shows more than the guest", judge: judgeShut, plan: fixed("read",
			"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/kmsg", "/proc/kallmodsyms", "/sys/firmware/acpi/tables/DSDT", "/sys/kernel/debug/tracing/trace", "/sys/kernel/security/lockdown")},
		{id: "read-devices", words: "to open devices of the host", judge: judgeShut, plan: fixed("read",
			"/dev/mem", "/dev/kmsg", "/dev/port", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0", "/dev/loop-control", "/dev/vhost-vsock", "/dev/vsock", "/dev/uinput", "/dev/input/event0")},
	}, kernelAttempts(), outsideAttempts())
}

// kernelAttempts knock at doors of the kernel.
func kernelAttempts() []*attempt {
	shut := func(id, words, tool string, list ...string) *attempt {
		return &attempt{id: id, words: words, plan: fixed(tool, list...), judge: judgeForbidden}
	}
	return []*attempt{
		shut("raw-sockets", "raw sockets", "socket", "raw", "raw icmp", "raw tcp", "raw ipv6"),
		shut("packet-sockets", "packet sockets", "socket", "packet", "packet datagram"),
		shut("vsock", "sockets to the hypervisor", "socket", "vsock", "vsock datagram"),
		notGVisor(only(container, shut("netlink", "the kernel's own channels", "socket", "netfilter", "audit", "kobject events", "xfrm", "generic netlink"))),
		shut("odd-sockets", "sockets of families that nobody needs", "socket", "kernel crypto", "bluetooth", "can", "xdp", "key management", "tipc", "rds", "smc", "appletalk", "x.25"),
		notGVisor(shut("echo-sockets", "sockets for ICMP", "socket", "echo request", "echo request, v6")),
		notGVisor(shut("user-namespaces", "a namespace in which it is root", "power", "user namespace", "user and mount together")),
		notGVisor(shut("new-namespaces", "namespaces of its own", "power", "network namespace", "mount namespace", "pid namespace", "unshare", "setns")),
		shut("mounting", "to mount", "power", "mount", "umount", "remount", "fsopen", "open_tree", "move_mount", "pivot_root", "chroot", "swapon"),
		shut("devices-made", "to make a device", "power", "mknod"),
		shut("file-handles", "files by their handle, past every path", "power", "handle"),
		shut("bpf", "programs in the kernel", "power", "bpf", "perf events"),
		shut("io-uring", "io_uring, whose requests no filter sees", "power", "io_uring", "io_uring enter"),
		shut("userfaultfd", "to hold the kernel at a page of its own", "power", "userfaultfd"),
		notGVisor(only(container, shut("keyrings", "keyrings, which no namespace separates", "power", "keyctl", "add_key", "request_key"))),
		shut("modules", "modules and other kernels", "power", "load a module", "remove a module", "kexec", "reboot"),
		shut("clock", "the host's clock", "power", "set the clock"),
		notGVisor(shut("kernel-log", "the host's kernel log", "power", "kernel log", "accounting", "quotas", "fanotify")),
		only(container, shut("personality", "a process without the usual protections", "power", "personality")),
		shut("host-name", "the host's name", "power", "host name"),
		shut("another-user", "to become another user", "power", "another user", "another group", "capabilities"),
		notGVisor(shut("priority", "more than its share of the processor", "power", "priority")),
		shut("interfaces", "to change the network's interfaces", "power", "add an interface"),
	}
}

// outsideAttempts are looked at from outside alone.
func outsideAttempts() []*attempt {
	return []*attempt{
		outside("engine-word", "what the engine says of containers and networks", judgeEngine),
		outside("policy-in-force", "another policy in force than the launcher wrote", judgePolicy),
		outside("audit-chain", "a line of the audit changed or missing", judgeChain),
		outside("sidecar-powers", "a sidecar with capabilities, as root, or without a filter", judgeSidecarPowers),
		only(container, outside("agent-environment", "a token in what the engine shows of the agent", judgeInspect)),
	}
}

// status is one field of /proc/self/status.
func status(facts []string, name string) string {
	for _, f := range facts {
		if v, ok := strings.CutPrefix(f, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func judgeCapabilities(_ *evidence, p *plan) (result, seen string) {
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		switch v := status(p.report.Facts, set); {
		case v == "":
			return Error, "the kernel does not tell " + set
		case strings.Trim(v, "0") != "":
			return Open, set + " is " + v
		}
	}
	return Held, "all five sets are empty"
}

func wantStatus(name, want string) func(*evidence, *plan) (string, string) {
	return func(_ *evidence, p *plan) (result, seen string) {
		switch v := status(p.report.Facts, name); v {
		case want:
			return Held, name + " is " + v
		case "":
			return Error, "the kernel does not tell " + name
		default:
			return Open, name + " is " + v
		}
	}
}

func judgeNamespaces(e *evidence, p *plan) (result, seen string) {
	if why := e.site.local(); why != "" {
		return Error, why
	}
	if len(p.report.Facts) == 0 {
		return Error, "the probe saw none"
	}
	for _, ns := range p.report.Facts {
		kind, _, _ := strings.Cut(ns, ":")
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return Error, "the host's namespaces cannot be read: " + err.Error()
		}
		if own == ns {
			return Open, "the guest is in the host's namespace " + ns
		}
	}
	return Held, fmt.Sprintf("%d, none of which is the host's", len(p.report.Facts))
}

// judgeMounts wants no bind mount but those that the engine makes and those of the
// bottle.
func judgeMounts(e *evidence, p *plan) (result, seen string) {
	if e.site.machine != nil {
		return judgeMachineMounts(p)
	}
	fine := []string{"/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/sbin/docker-init", "/usr/sbin/docker-init", "/usr/bin/docker-init"}
	own := 0
	for _, m := range e.site.containers[agent].Mounts {
		if !slices.Contains(given, m.Destination) && !e.site.isWorkspace(m) && !e.site.ownResolvConf(m.Source, m.Destination) {
			return Open, "the engine mounts " + m.Source + " at " + m.Destination
		}
	}
	for _, line := range p.report.Facts {
		m, ok := parseMount(line)
		if !ok {
			return Error, "the list of mounts cannot be read"
		}
		switch {
		case m.root == "/" && isKernels(m.kind):
		case slices.ContainsFunc([]string{"/proc", "/sys", "/dev"}, func(top string) bool { return m.at == top || strings.HasPrefix(m.at, top+"/") }) && isKernels(m.kind):
		case m.at == "/":
		case slices.Contains(fine, m.at) || m.at == compose.WorkspaceDir && e.site.Workspace != "":
		case slices.Contains(given, m.at):
			if own++; !slices.Contains(strings.Split(m.options, ","), "ro") {
				return Open, m.at + " is writable"
			}
		default:
			return Open, fmt.Sprintf("%s of the host (%s) is mounted at %s", m.root, m.kind, m.at)
		}
	}
	if own == 0 {
		return Error, "not even the bottle's certificate is mounted"
	}
	return Held, fmt.Sprintf("%d of the bottle's own, to read", own)
}

// judgeMachineMounts wants file systems of the kernel's own, those on the machine's
// disks, and what init has in memory: none that the host would share.
func judgeMachineMounts(p *plan) (result, seen string) {
	own := 0
	for _, line := range p.report.Facts {
		m, ok := parseMount(line)
		switch {
		case !ok:
			return Error, "the list of mounts cannot be read"
		case slices.Contains(given, m.at):
			if own++; !slices.Contains(strings.Split(m.options, ","), "ro") {
				return Open, m.at + " is writable"
			}
		case m.at == "/" && m.kind == "overlay", isKernels(m.kind), m.kind == "rootfs" && m.at == "/":
		default:
			return Open, fmt.Sprintf("%s (%s) is mounted at %s", m.root, m.kind, m.at)
		}
	}
	if own == 0 {
		return Error, "not even the bottle's certificate is mounted"
	}
	return Held, fmt.Sprintf("%d of the bottle's own, to read, and no file system of the host's", own)
}

// given are the places at which the agent is given something to read.
var given = []string{"/etc/ssl/certs", "/etc/bottle/prompt.md", "/etc/bottle/clients", "/etc/bottle/skills", "/etc/gitconfig"}

// isWorkspace reports whether a mount is the directory that the operator has mounted
// for the agent to write.
func (s *site) isWorkspace(m engine.Mount) bool {
	return s.Workspace != "" && m.Source == s.Workspace && m.Destination == compose.WorkspaceDir
}

// isKernels reports whether a file system is the kernel's own and holds no files.
func isKernels(kind string) bool {
	return slices.Contains([]string{"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "shm", "dev"}, kind)
}

// mount is a line of mountinfo.
type mount struct{ root, at, options, kind string }

func parseMount(line string) (m mount, ok bool) {
	before, after, ok := strings.Cut(line, " - ")
	f, g := strings.Fields(before), strings.Fields(after)
	const fields = 6
	if !ok || len(f) < fields || len(g) < 1 {
		return m, false
	}
	return mount{f[3], f[4], f[5], g[0]}, true
}

// mountPoints are the places of all mounts of the agent's.
func mountPoints(v *view) (list []string, why string) {
	if v.machine != nil {
		return given, ""
	}
	for _, m := range v.containers[agent].Mounts {
		if !v.isWorkspace(m) {
			list = append(list, m.Destination)
		}
	}
	slices.Sort(list)
	return list, ""
}

func judgeNoFacts(_ *evidence, p *plan) (result, seen string) {
	if len(p.report.Facts) > 0 {
		return Open, "there is " + strings.Join(p.report.Facts[:min(3, len(p.report.Facts))], ", ")
	}
	if p.task.Tool != "find" {
		return Held, "there is none"
	}
	if len(p.report.Seen) == 0 {
		return Error, "the probe did not search"
	}
	return Held, "none among " + p.report.Seen[0].What
}

func judgeSockets(_ *evidence, p *plan) (result, seen string) {
	for _, f := range p.report.Facts {
		for _, name := range []string{"docker", "containerd", "podman", "crio", "buildkit", "libvirt", "snapd", "system_bus"} {
			if strings.Contains(f, name) {
				return Open, "there is the " + f
			}
		}
	}
	if len(p.report.Seen) == 0 {
		return Error, "the probe did not search"
	}
	return Held, fmt.Sprintf("%d sockets, none of an engine", len(p.report.Facts))
}
