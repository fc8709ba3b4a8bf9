package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// judgeRoutes wants the link's route alone, or beside it one through a gateway that
// is nobody: some engines set one for a network that has none.
func judgeRoutes(e *evidence, p *plan) (result, seen string) {
	links, through := map[string]bool{}, ""
	for _, line := range p.report.Facts {
		f := strings.Fields(line)
		const fields = 8
		if len(f) < fields || f[0] == "Iface" {
			continue
		}
		if strings.Trim(f[1], "0") == "" || strings.Trim(f[2], "0") != "" {
			through = addressOf(f[2])
			if m := e.site.machine; m != nil && through == m.gateway.String() {
				links[f[0]] = true
				continue // which refuses what it does not carry
			}
			who := e.site.gatekeeper()
			if who == "" && !slices.Contains(e.site.gateways(), through) {
				who = "it is not the one of its network"
			}
			if who != "" {
				return Open, fmt.Sprintf("there is a route by %s through %s: %s", f[0], through, who)
			}
		}
		links[f[0]] = true
	}
	if len(links) != 1 {
		return Open, fmt.Sprintf("%d interfaces have routes", len(links))
	}
	if e.site.machine != nil {
		return Held, "the route of the link, and one through the gateway, which refuses what it does not carry"
	}
	if through != "" {
		return Held, "the route of the link, and one through " + through + ", which is nobody"
	}
	return Held, "one route, that of the link"
}

// addressOf reads an address as the kernel prints it in /proc/net/route.
func addressOf(hex string) string {
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		return hex
	}
	return netip.AddrFrom4([4]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}).String()
}

// judgeAddresses wants the loopback interface and one more, with the address that the
// engine says.
func judgeAddresses(e *evidence, p *plan) (result, seen string) {
	own := e.site.address(agent, "inside")
	if m := e.site.machine; m != nil {
		own = m.guest.String()
	}
	found := false
	for _, f := range p.report.Facts {
		link, text, _ := strings.Cut(f, " ")
		if link == "lo" {
			continue
		}
		a, err := netip.ParsePrefix(text)
		if err != nil || a.Addr().String() != own {
			return Open, "the guest has " + f
		}
		found = true
	}
	if !found {
		return Error, "the guest has not even the address that the engine says, " + own
	}
	return Held, "the one of the network inside"
}

func pidsOf(c engine.Container) int64 {
	if c.HostConfig.PidsLimit == nil {
		return 0
	}
	return *c.HostConfig.PidsLimit
}

func memoryOf(c engine.Container) int64 { return c.HostConfig.Memory }

// judgeLimit wants the limit in the guest's cgroup to be a number, and the engine's.
func judgeLimit(of func(engine.Container) int64) func(*evidence, *plan) (string, string) {
	return func(e *evidence, p *plan) (result, seen string) {
		text := strings.Join(p.report.Facts, "")
		n, err := strconv.ParseInt(text, 10, 64)
		const unlimited = 1 << 60
		switch want := of(e.site.containers[agent]); {
		case err != nil || n <= 0 || n > unlimited:
			return Open, "there is no limit (" + text + ")"
		case want <= 0 || n > want:
			return Open, fmt.Sprintf("the limit is %d, and the engine says %d", n, want)
		}
		return Held, "the limit is " + text
	}
}
