package bundle

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/smolfile"
)

// Places of a machine of smolvm's, in a directory of its own: the Smolfile, and
// what it shows to the machine.
const (
	SmolfileName = "Smolfile"
	// ShareDir has the machine's init, what it is told, and the bottle's files.
	ShareDir = "share"
	// GuestFile is what the init is told; GuestFiles has the sources of mounts.
	GuestFile  = ShareDir + "/guest.json"
	GuestFiles = ShareDir + "/files"
)

// Sizes of a machine's disks, in GiB. The storage disk has the image and what the
// agent writes; the overlay is of smolvm's own system.
const (
	machineStorage = 20
	machineOverlay = 2
)

// Smolfile describes the machine to smolvm. The gateway is the boundary; smolvm's
// own network policy, which allows the sidecars' addresses, is a second one.
func (s *Spec) Smolfile() (smolfile.File, error) {
	g, err := s.Gateway()
	if err != nil {
		return smolfile.File{}, err
	}
	guest, err := s.Guest(nil)
	if err != nil {
		return smolfile.File{}, err
	}
	limits := Resources(s.Bottle)
	f := smolfile.File{
		Entrypoint: []string{"/bottle/guestinit"}, Cmd: []string{"service"}, Workdir: guest.WorkDir,
		CPUs: uint8(min(max(1, math.Ceil(limits.CPUs)), math.MaxUint8)), Memory: uint32(limits.Memory >> 20),
		Net: true, Volumes: []string{"./" + ShareDir + ":/bottle:ro"}, Storage: machineStorage, Overlay: machineOverlay,
		Network: &smolfile.Network{AllowHosts: []string{}}, Restart: &smolfile.Restart{Policy: "never"}, Auth: &smolfile.Auth{},
	}
	for _, a := range g.Stack.GatewayVirtualIPs {
		f.Network.AllowCIDRs = append(f.Network.AllowCIDRs, a+"/32")
	}
	return f, f.Confined()
}

// SmolfileData is the file, as smolvm reads it.
func (s *Spec) SmolfileData() ([]byte, error) {
	f, err := s.Smolfile()
	if err != nil {
		return nil, err
	}
	data, err := smolfile.Marshal(f, fmt.Sprintf("The machine of %s, for smolvm. Its image, resolver and network\nbackend are given on the command line (docs/microvm.md).\n", s.Identity))
	if err != nil {
		return nil, err
	}
	if _, err := smolfile.Parse(SmolfileName, data); err != nil {
		return nil, fmt.Errorf("what was rendered does not read back: %w", err)
	}
	return data, nil
}

// MachineFiles are the Smolfile and what the machine is told, below dir. Files are
// those of the bundle, of which the machine sees some; env is the environment that
// its image has, as far as it is known.
func (s *Spec) MachineFiles(dir string, files []File, env map[string]string) ([]File, error) {
	data, err := s.SmolfileData()
	if err != nil {
		return nil, err
	}
	guest, err := s.Guest(env)
	if err != nil {
		return nil, err
	}
	told, err := json.MarshalIndent(guest, "", "  ")
	if err != nil {
		return nil, err
	}
	out := []File{
		{Path: path.Join(dir, SmolfileName), Mode: 0o644, Data: data},
		{Path: path.Join(dir, GuestFile), Mode: 0o644, Data: append(told, '\n')},
	}
	for _, f := range files {
		if slices.ContainsFunc(guest.Mounts, func(m wire.GuestMount) bool {
			return f.Path == m.Source || strings.HasPrefix(f.Path, m.Source+"/")
		}) {
			out = append(out, File{Path: path.Join(dir, GuestFiles, f.Path), Mode: f.Mode, Data: f.Data})
		}
	}
	slices.SortFunc(out, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return out, nil
}
