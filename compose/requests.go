package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Creation is a rendered file in the words of an engine's interface: what Compose
// would ask for, in the order in which things must exist. Names and labels are
// Compose's, so that `docker compose ps`, `logs` and `down` know the project.
type Creation struct {
	Networks   []NetworkRequest
	Volumes    []VolumeRequest
	Containers []ContainerRequest
}

// NetworkRequest is the body of POST /networks/create.
type NetworkRequest struct {
	Name       string
	Driver     string
	Internal   bool
	EnableIPv6 bool
	Options    map[string]string `json:",omitempty"`
	Labels     map[string]string
	IPAM       struct{ Config []map[string]string }
	// CheckDuplicate has an old engine refuse a second network of one name.
	CheckDuplicate bool
}

// ContainerRequest is one container: its name, the body of POST
// /containers/create, and the networks that it joins before it starts.
type ContainerRequest struct {
	Name    string
	Service string
	Body    ContainerBody
	// Joins are the networks after the first, by name.
	Joins map[string]Endpoint
}

// ContainerBody is the part of an engine's container that a bottle sets.
type ContainerBody struct {
	Image       string
	User        string
	Hostname    string            `json:",omitempty"`
	Env         []string          `json:",omitempty"`
	Entrypoint  []string          `json:",omitempty"`
	Cmd         []string          `json:",omitempty"`
	Labels      map[string]string `json:",omitempty"`
	Healthcheck Healthcheck
	StopTimeout int // seconds

	HostConfig       HostConfig
	NetworkingConfig struct{ EndpointsConfig map[string]Endpoint }
}

// Healthcheck has its times in nanoseconds, as the engine counts them.
type Healthcheck struct {
	Test              []string
	Interval, Timeout time.Duration
	Retries           int
}

// HostConfig is what a container may and may not.
type HostConfig struct {
	NetworkMode    string
	Runtime        string   `json:",omitempty"`
	CapDrop        []string `json:",omitempty"`
	SecurityOpt    []string
	Sysctls        map[string]string `json:",omitempty"`
	ReadonlyRootfs bool
	Init           bool
	Tmpfs          map[string]string `json:",omitempty"`
	Mounts         []MountRequest    `json:",omitempty"`
	Dns, DnsSearch []string          `json:",omitempty"`
	ExtraHosts     []string          `json:",omitempty"`
	Memory         int64
	NanoCpus       int64
	PidsLimit      int64
	RestartPolicy  struct{ Name string }
	LogConfig      struct {
		Type   string
		Config map[string]string
	}
}

// Endpoint is a container's place in a network.
type Endpoint struct {
	IPAMConfig *struct{ IPv4Address string } `json:",omitempty"`
	Aliases    []string
}

// Requests translates a rendered file that lies in dir. Files has the variables
// by which it finds its secret files. What it does not know it refuses, so that no
// setting of a fragment is ever dropped.
func Requests(rendered []byte, project, dir string, files map[string]string) (*Creation, error) {
	p, err := loadStrict(types.ConfigDetails{
		WorkingDir: ".", Environment: files,
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: rendered}},
	}, project)
	if err != nil {
		return nil, fmt.Errorf("compose: the rendered file does not load: %w", err)
	}
	t := translation{p: p, dir: dir}
	c := &Creation{}
	for _, name := range slices.Sorted(maps.Keys(p.Networks)) {
		n, err := t.network(name, p.Networks[name])
		if err != nil {
			return nil, err
		}
		c.Networks = append(c.Networks, n)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		v, err := t.volume(name, p.Volumes[name])
		if err != nil {
			return nil, err
		}
		c.Volumes = append(c.Volumes, v)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		r, err := t.container(p.Services[name])
		if err != nil {
			return nil, err
		}
		c.Containers = append(c.Containers, r)
	}
	return c, nil
}

type translation struct {
	p   *types.Project
	dir string
}

// labels are a thing's own with Compose's beside them.
func (t *translation) labels(own types.Labels, of any, more map[string]string) (map[string]string, error) {
	data, err := json.Marshal(of)
	if err != nil {
		return nil, fmt.Errorf("compose: cannot tell versions of a service apart: %w", err)
	}
	sum := sha256.Sum256(data)
	all := map[string]string{
		"com.docker.compose.project":     t.p.Name,
		"com.docker.compose.config-hash": hex.EncodeToString(sum[:]),
	}
	maps.Copy(all, own)
	maps.Copy(all, more)
	return all, nil
}

func (t *translation) network(key string, n types.NetworkConfig) (r NetworkRequest, err error) {
	r = NetworkRequest{
		Name: n.Name, Driver: n.Driver, Internal: n.Internal, Options: n.DriverOpts,
		EnableIPv6: n.EnableIPv6 == nil || *n.EnableIPv6, CheckDuplicate: true,
	}
	for _, pool := range n.Ipam.Config {
		r.IPAM.Config = append(r.IPAM.Config, map[string]string{"Subnet": pool.Subnet})
		if !reflect.DeepEqual(*pool, types.IPAMPool{Subnet: pool.Subnet}) {
			return r, fmt.Errorf("compose: the network %s asks for more of its addresses than can be passed on", key)
		}
	}
	if r.Labels, err = t.labels(n.Labels, n, map[string]string{"com.docker.compose.network": key}); err != nil {
		return r, err
	}
	n.Name, n.Driver, n.Internal, n.DriverOpts, n.EnableIPv6, n.Labels, n.Ipam.Config = "", "", false, nil, nil, nil, nil
	return r, known("network "+key, n)
}

// known refuses what is left of a thing once all that was passed on is taken out.
func known(what string, left any) error {
	v := reflect.ValueOf(left)
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous { // a part of a service
			if err := known(what, v.Field(i).Interface()); err != nil {
				return err
			}
			continue
		}
		if !v.Field(i).IsZero() {
			return fmt.Errorf("compose: the %s sets %s, which cannot be passed on to the engine", what, v.Type().Field(i).Name)
		}
	}
	return nil
}

func (t *translation) container(s types.ServiceConfig) (r ContainerRequest, err error) {
	r = ContainerRequest{Name: t.p.Name + "-" + s.Name + "-1", Service: s.Name}
	b := &r.Body
	*b = ContainerBody{
		Image: s.Image, User: s.User, Hostname: s.Hostname, Env: environment(s.Environment), Entrypoint: s.Entrypoint, Cmd: s.Command,
		StopTimeout: int(time.Duration(value(s.StopGracePeriod)).Seconds()),
	}
	if h := s.HealthCheck; h != nil {
		b.Healthcheck = Healthcheck{
			Test: h.Test, Interval: time.Duration(value(h.Interval)), Timeout: time.Duration(value(h.Timeout)), Retries: int(value(h.Retries)),
		}
		h.Test, h.Interval, h.Timeout, h.Retries = nil, nil, nil, nil
		if err := known("health check of "+s.Name, *h); err != nil {
			return r, err
		}
	}
	if b.HostConfig, err = t.hostConfig(s); err != nil {
		return r, err
	}
	if err = t.join(&r, s); err != nil {
		return r, err
	}
	if b.Labels, err = t.labels(s.Labels, b, map[string]string{
		"com.docker.compose.service": s.Name, "com.docker.compose.oneoff": "False", "com.docker.compose.container-number": "1",
		"com.docker.compose.project.working_dir": t.dir, "com.docker.compose.project.config_files": filepath.Join(t.dir, "compose.yaml"),
		"com.docker.compose.depends_on": dependsOn(s),
	}); err != nil {
		return r, err
	}
	return r, known("service "+s.Name, leftOf(s))
}

// leftOf is a service without what [translation.container] passes on, and without
// what concerns Compose alone: the order is the caller's, and nothing is pulled.
func leftOf(s types.ServiceConfig) types.ServiceConfig {
	s.Name, s.PullPolicy, s.DependsOn = "", "", nil
	s.Image, s.User, s.Hostname, s.Environment, s.Entrypoint, s.Command, s.Labels = "", "", "", nil, nil, nil, nil
	s.StopGracePeriod, s.HealthCheck, s.Networks, s.Restart = nil, nil, nil, ""
	s.Runtime, s.CapDrop, s.SecurityOpt, s.Sysctls, s.ReadOnly, s.Init, s.Tmpfs = "", nil, nil, nil, false, nil, nil
	s.Volumes, s.Secrets, s.DNS, s.DNSSearch, s.ExtraHosts = nil, nil, nil, nil, nil
	s.MemLimit, s.CPUS, s.PidsLimit, s.Logging = 0, 0, 0, nil
	return s
}

func (t *translation) hostConfig(s types.ServiceConfig) (h HostConfig, err error) {
	h = HostConfig{
		Runtime: s.Runtime, CapDrop: s.CapDrop, Sysctls: s.Sysctls, ReadonlyRootfs: s.ReadOnly, Init: value(s.Init),
		Dns: s.DNS, DnsSearch: s.DNSSearch, Memory: int64(s.MemLimit), NanoCpus: nano(s.CPUS), PidsLimit: s.PidsLimit,
	}
	h.RestartPolicy.Name = s.Restart
	for _, o := range s.SecurityOpt {
		switch {
		case o == "seccomp=./"+SeccompFile:
			o = SeccompOption()
		case strings.HasPrefix(o, "seccomp="):
			return h, fmt.Errorf("compose: the service %s has another seccomp profile than the bottle's", s.Name)
		}
		h.SecurityOpt = append(h.SecurityOpt, o)
	}
	for _, mount := range s.Tmpfs {
		path, options, _ := strings.Cut(mount, ":")
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[path] = options
	}
	for _, name := range slices.Sorted(maps.Keys(s.ExtraHosts)) {
		for _, address := range s.ExtraHosts[name] {
			h.ExtraHosts = append(h.ExtraHosts, name+":"+address)
		}
	}
	if l := s.Logging; l != nil {
		h.LogConfig.Type, h.LogConfig.Config = l.Driver, l.Options
	}
	h.Mounts, err = t.mounts(s)
	return h, err
}

// nano is a number of CPUs in the engine's unit. The text of it is what was
// written; the float itself is a little off.
func nano(cpus float32) int64 {
	n, _ := strconv.ParseFloat(strconv.FormatFloat(float64(cpus), 'f', -1, 32), 64)
	return int64(n*1e9 + 0.5)
}

// join says which networks a container is on: the engine takes the first at its
// creation, and is told of the others then.
func (t *translation) join(r *ContainerRequest, s types.ServiceConfig) error {
	r.Body.NetworkingConfig.EndpointsConfig, r.Joins = map[string]Endpoint{}, map[string]Endpoint{}
	for i, key := range s.NetworksByPriority() {
		e, name := Endpoint{Aliases: []string{r.Name, s.Name}}, t.p.Networks[key].Name
		if n := s.Networks[key]; n != nil {
			if n.Ipv4Address != "" {
				e.IPAMConfig = &struct{ IPv4Address string }{n.Ipv4Address}
			}
			if !reflect.DeepEqual(*n, types.ServiceNetworkConfig{Ipv4Address: n.Ipv4Address}) {
				return fmt.Errorf("compose: the service %s joins %s in a way that cannot be passed on to the engine", s.Name, key)
			}
		}
		if i == 0 {
			r.Body.HostConfig.NetworkMode = name
			r.Body.NetworkingConfig.EndpointsConfig[name] = e
		} else {
			r.Joins[name] = e
		}
	}
	if r.Body.HostConfig.NetworkMode == "" {
		return fmt.Errorf("compose: the service %s is on no network, so the engine would choose one", s.Name)
	}
	return nil
}

// dependsOn is the label by which Compose takes a project down in the right order.
func dependsOn(s types.ServiceConfig) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		all = append(all, fmt.Sprintf("%s:%s:%t", name, s.DependsOn[name].Condition, s.DependsOn[name].Restart))
	}
	return strings.Join(all, ",")
}

func environment(vars types.MappingWithEquals) []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if v := vars[name]; v != nil {
			env = append(env, name+"="+*v)
		}
	}
	return env
}

// value is what a pointer leads to, or nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
