package compose

import (
	"fmt"
	"path/filepath"
	"reflect"

	"github.com/compose-spec/compose-go/v2/types"
)

// VolumeRequest is the body of POST /volumes/create.
type VolumeRequest struct {
	Name, Driver string
	DriverOpts   map[string]string
	Labels       map[string]string
}

// MountRequest is a bind mount, whose source the engine wants to be there, or that
// of a volume.
type MountRequest struct {
	Type, Source, Target string
	ReadOnly             bool
	VolumeOptions        *VolumeOptions `json:",omitempty"`
}

// VolumeOptions are those of the mount of a volume.
type VolumeOptions struct {
	// NoCopy leaves a new volume empty, whatever the image has in its place.
	NoCopy bool
}

func (t *translation) volume(key string, v types.VolumeConfig) (r VolumeRequest, err error) {
	r = VolumeRequest{Name: v.Name, Driver: v.Driver, DriverOpts: v.DriverOpts}
	if r.Labels, err = t.labels(v.Labels, v, map[string]string{"com.docker.compose.volume": key}); err != nil {
		return r, err
	}
	v.Name, v.Driver, v.DriverOpts, v.Labels = "", "", nil, nil
	return r, known("volume "+key, v)
}

func (t *translation) mounts(s types.ServiceConfig) (mounts []MountRequest, err error) {
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume {
			m, err := t.volumeMount(s.Name, v)
			if err != nil {
				return nil, err
			}
			mounts = append(mounts, m)
			continue
		}
		if v.Type != types.VolumeTypeBind || v.Bind == nil || bool(v.Bind.CreateHostPath) {
			return nil, fmt.Errorf("compose: the service %s mounts %s, which is no bind mount of what must be there", s.Name, v.Source)
		}
		source := v.Source
		if !filepath.IsAbs(source) {
			source = filepath.Join(t.dir, source)
		}
		mounts = append(mounts, MountRequest{Type: v.Type, Source: source, Target: v.Target, ReadOnly: v.ReadOnly})
		if !reflect.DeepEqual(v, types.ServiceVolumeConfig{Type: v.Type, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly, Bind: v.Bind}) ||
			!reflect.DeepEqual(*v.Bind, types.ServiceVolumeBind{CreateHostPath: v.Bind.CreateHostPath}) {
			return nil, fmt.Errorf("compose: the service %s mounts %s in a way that cannot be passed on to the engine", s.Name, v.Source)
		}
	}
	for _, x := range s.Secrets {
		file := t.p.Secrets[x.Source].File
		if !filepath.IsAbs(file) {
			return nil, fmt.Errorf("compose: the secret %s of the service %s has no file at an absolute path", x.Source, s.Name)
		}
		target := x.Target
		if target == "" {
			target = x.Source
		}
		if !filepath.IsAbs(target) {
			target = "/run/secrets/" + target
		}
		mounts = append(mounts, MountRequest{Type: types.VolumeTypeBind, Source: file, Target: target, ReadOnly: true})
	}
	return mounts, nil
}

// volumeAt is the one way in which a service mounts a volume.
func volumeAt(source, target string, readOnly bool) types.ServiceVolumeConfig {
	return types.ServiceVolumeConfig{
		Type: types.VolumeTypeVolume, Source: source, Target: target, ReadOnly: readOnly, Volume: &types.ServiceVolumeVolume{NoCopy: true},
	}
}

func (t *translation) volumeMount(service string, v types.ServiceVolumeConfig) (MountRequest, error) {
	m := MountRequest{
		Type: v.Type, Source: t.p.Volumes[v.Source].Name, Target: v.Target, ReadOnly: v.ReadOnly, VolumeOptions: &VolumeOptions{NoCopy: true},
	}
	if m.Source == "" || !reflect.DeepEqual(v, volumeAt(v.Source, v.Target, v.ReadOnly)) {
		return m, fmt.Errorf("compose: the service %s mounts the volume %s in a way that cannot be passed on to the engine", service, v.Source)
	}
	return m, nil
}
