package verify

import (
	"path/filepath"
	"slices"

	"github.com/bottlesuite/bottle/compose"
)

// underGVisor reports whether the guest's kernel is gVisor's, a program of this host's
// that is confined from outside. See https://gvisor.dev/docs/architecture_guide/security/.
func (s *site) underGVisor() bool { return s.Runtime == compose.GVisor }

// ownKernel reports whether doors of the guest's kernel lead no further than itself.
func (s *site) ownKernel() bool { return s.machine != nil || s.underGVisor() }

// notGVisor marks an attempt that gVisor's kernel answers all by itself: its
// namespaces, keyrings, priorities and log are made of nothing of the host's, it takes
// no filter of the engine's, and its network has no resolver of the engine's.
func notGVisor(a *attempt) *attempt {
	a.kernel = true
	return a
}

// ownResolvConf reports whether a mount is the file that names the resolver of a
// guest under gVisor, where the engine's does not answer.
func (s *site) ownResolvConf(source, destination string) bool {
	return s.underGVisor() && destination == "/etc/resolv.conf" && source == filepath.Join(s.Dir, "config", "resolv.conf")
}

// pinged are the addresses that an echo request must not reach. gVisor's network
// makes one for any guest, so there it counts whether it gets out.
func pinged(v *view) ([]string, string) {
	if v.underGVisor() {
		return []string{nobody}, ""
	}
	return []string{v.resolver(), nobody}, ""
}

func judgePing(e *evidence, p *plan) (result, seen string) {
	if !e.site.underGVisor() {
		return judgeForbidden(e, p)
	}
	if who := e.site.gatekeeper(); who != "" {
		return judgeNoPacket(e, p)
	}
	return Held, "nobody has the gateway's address"
}

// kernelSettings are files by which a kernel is set. gVisor has two that do nothing:
// one of sysrq, and limits of its own below those that hold it.
func kernelSettings(v *view) ([]string, string) {
	if v.underGVisor() {
		return settings, ""
	}
	return slices.Concat(settings, []string{"/proc/sysrq-trigger"}, cgroupSettings), ""
}

var settings = []string{
	"/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv4/ping_group_range", "/proc/sys/vm/overcommit_memory",
	"/proc/sys/kernel/modprobe", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled",
}

// cgroupSettings are files of both versions of cgroups. The directory itself says
// nothing: no file is ever made in a cgroup, and version 1 has a tmpfs in that place,
// which newer runtimes leave writable.
var cgroupSettings = []string{
	"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/cgroup.subtree_control", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/memory.max",
	"/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
	"/sys/fs/cgroup/devices/cgroup.procs", "/sys/fs/cgroup/devices/devices.allow", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent",
}

// judgeDevices wants no device but those that every container has. gVisor has two
// more, which are programs of its own.
func judgeDevices(e *evidence, p *plan) (result, seen string) {
	if e.site.underGVisor() {
		p.report.Facts = slices.DeleteFunc(p.report.Facts, func(f string) bool { return f == "device /dev/fuse" || f == "device /dev/net/tun" })
	}
	return judgeNoFacts(e, p)
}
