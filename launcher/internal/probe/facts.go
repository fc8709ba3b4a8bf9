//go:build linux

package probe

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
)

// sources are what a task may want to know: files whose lines are the facts.
var sources = map[string][]string{
	"status":  {"/proc/thread-self/status"},
	"mounts":  {"/proc/self/mountinfo"},
	"routes":  {"/proc/net/route"},
	"routes6": {"/proc/net/ipv6_route"},
	"inet6":   {"/proc/net/if_inet6"},
	"pids":    {"/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"},
	"memory":  {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"},
	"resolv":  {"/etc/resolv.conf"},
	"boot":    {"/proc/sys/kernel/random/boot_id"},

	"total memory": {"/proc/meminfo"},
}

// maxFacts bounds the lines of one source.
const maxFacts = 4000

// readFacts tells what the targets name. Of several files for one fact the first
// that is there counts.
func readFacts(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	for _, target := range t.Targets {
		switch target {
		case "namespaces":
			for _, ns := range []string{"ipc", "mnt", "net", "pid", "uts"} {
				link, err := os.Readlink("/proc/self/ns/" + ns)
				if err != nil {
					return fmt.Errorf("the namespaces cannot be read: %w", err)
				}
				r.Facts = append(r.Facts, link)
			}
		case "addresses":
			if err := listAddresses(r); err != nil {
				return err
			}
		case "disks", "hardware", "ports":
			if err := listDevices(target, r); err != nil {
				return err
			}
		default:
			if err := readLines(target, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func readLines(source string, r *wire.ProbeReport) error {
	files, ok := sources[source]
	if !ok {
		return fmt.Errorf("the probe does not know %q", source)
	}
	// A thread's own file can be read for as long as there is the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var last error
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			last = err
			continue
		}
		for line := range strings.Lines(string(data)) {
			if len(r.Facts) < maxFacts {
				r.Facts = append(r.Facts, strings.TrimRight(line, "\n"))
			}
		}
		return nil
	}
	if source == "inet6" || source == "routes6" {
		return nil // there is no IPv6 at all
	}
	return fmt.Errorf("it cannot be read: %w", last)
}

// listAddresses tells every address of every interface.
func listAddresses(r *wire.ProbeReport) error {
	links, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("the interfaces cannot be listed: %w", err)
	}
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil {
			return fmt.Errorf("the addresses of %s cannot be listed: %w", l.Name, err)
		}
		for _, a := range addrs {
			r.Facts = append(r.Facts, l.Name+" "+a.String())
		}
		if len(addrs) == 0 && l.Flags&net.FlagUp != 0 {
			r.Facts = append(r.Facts, l.Name+" none")
		}
	}
	return nil
}
