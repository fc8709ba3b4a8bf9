package compose

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// HopVolume is the volume in which the two proxies of a bottle meet: pipelockd's
// socket is there, and nothing else.
const HopVolume = "hop"

// HopSocket is where both have the socket.
const HopSocket = "/run/bottle/hop/pipelockd.sock"

// HopDir is where the volume is mounted.
var HopDir = path.Dir(HopSocket)

// HopName is the engine's name for the volume of a project.
func HopName(project string) string { return project + "_" + HopVolume }

// HopOptions are the options of the volume: it lies in memory, and is of the user
// alone, UID:GID, that the proxies run as.
func HopOptions(user string) map[string]string {
	uid, gid, _ := strings.Cut(user, ":")
	return map[string]string{
		"type": "tmpfs", "device": "tmpfs",
		"o": fmt.Sprintf("size=64k,nr_inodes=16,mode=0700,uid=%s,gid=%s,nosuid,nodev,noexec", uid, gid),
	}
}

// HopReadOnly tells who mounts the volume, and whether only to read, by service.
var HopReadOnly = map[string]bool{"egress": true, "pipelock": false}

// lintHop checks that a bottle with both proxies has that volume and no other, that
// both mount it as they must, and that nobody else does.
func lintHop(p *types.Project, report func(where, format string, args ...any)) {
	egress, wanted := p.Services["egress"]
	if _, there := p.Volumes[HopVolume]; wanted && !there {
		report("the project", "has no volume %s, so egress has no way to pipelock", HopVolume)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		v := p.Volumes[name]
		switch {
		case name != HopVolume || !wanted:
			report("volume "+name, "is none of the bottle's")
		case bool(v.External) || v.Driver != "local" || v.Name != HopName(p.Name) || !maps.Equal(v.DriverOpts, HopOptions(egress.User)):
			report("volume "+name, "is not in memory, of the bottle's own and the sidecars' user")
		case v.Labels["bottle.identity"] == "":
			report("volume "+name, "has no label bottle.identity, so cleanup would miss it")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		var at []types.ServiceVolumeConfig
		for _, v := range p.Services[name].Volumes {
			if v.Type == types.VolumeTypeVolume {
				at = append(at, v)
			}
		}
		readOnly, proxy := HopReadOnly[name]
		var want []types.ServiceVolumeConfig
		if proxy && wanted {
			want = append(want, volumeAt(HopVolume, HopDir, readOnly))
		}
		if !reflect.DeepEqual(at, want) {
			report("service "+name, "does not see the socket between the proxies as it must")
		}
	}
}
