package compose

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// HopVolume is the volume in which the two proxies of a bottle meet: pipelockd's
// socket is there, and nothing else.
const HopVolume = "hop"

// HopSocket is where both have the socket.
const HopSocket = "/run/bottle/hop/pipelockd.sock"

// hopMounts are who mounts it, and how.
var hopMounts = map[string]struct{ readOnly bool }{"egress": {true}, "pipelock": {false}}

// lintHop checks that a bottle has no volume but that one, which lies in memory,
// and that nobody sees it but the proxies.
func lintHop(p *types.Project, report func(where, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		v := p.Volumes[name]
		switch {
		case name != HopVolume:
			report("volume "+name, "is none of the bottle's")
		case bool(v.External) || v.Driver != "local" || v.DriverOpts["type"] != "tmpfs" || v.DriverOpts["device"] != "tmpfs":
			report("volume "+name, "is not in memory, of the bottle's own")
		case v.Labels["bottle.identity"] == "":
			report("volume "+name, "has no label bottle.identity, so cleanup would miss it")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		for _, v := range p.Services[name].Volumes {
			if v.Type != types.VolumeTypeVolume || v.Source != HopVolume {
				continue
			}
			if how, ok := hopMounts[name]; !ok || how.readOnly && !v.ReadOnly {
				report("service "+name, "sees the socket between the proxies as it must not")
			}
		}
	}
	if _, ok := p.Services["egress"]; ok && !slices.ContainsFunc(p.Services["egress"].Volumes, func(v types.ServiceVolumeConfig) bool { return v.Source == HopVolume }) {
		report("service egress", "has no way to pipelock")
	}
}
