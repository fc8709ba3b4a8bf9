package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Container is the part of `docker inspect` that the launcher judges.
type Container struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status  string
		Running bool
		Paused  bool
		// OOMKilled says that the kernel killed it for its memory.
		OOMKilled bool
		ExitCode  int
		Error     string
		Health    *struct{ Status string }
	}
	Image  string
	Config struct {
		User   string
		Labels map[string]string
	}
	HostConfig struct {
		CapAdd, CapDrop, SecurityOpt, Devices                       json.RawMessage
		Privileged, ReadonlyRootfs                                  bool
		NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode, Runtime string
		Sysctls                                                     map[string]string
		PidsLimit                                                   *int64
		Memory                                                      int64
	}
	Mounts          []Mount
	NetworkSettings struct {
		Networks map[string]struct{ NetworkID string }
		Ports    map[string][]Binding
	}
}

// Mount is what a container sees of its host.
type Mount struct {
	Type, Source, Destination string
	RW                        bool
}

// Binding is a published port.
type Binding struct{ HostIP, HostPort string }

// Component is the bottle's name for the container.
func (c *Container) Component() string { return c.Config.Labels["bottle.component"] }

// Condition is the container's state in a few words.
func (c *Container) Condition() string {
	s := c.State
	switch {
	case s.OOMKilled && !s.Running:
		return fmt.Sprintf("out of memory, status %d", s.ExitCode)
	case !s.Running:
		return fmt.Sprintf("ended with status %d", s.ExitCode)
	case s.Paused:
		return "paused"
	case s.Health != nil && s.Health.Status == "unhealthy":
		return "running, unhealthy"
	}
	return "running"
}

// Network is the part of `docker network inspect` that the launcher judges.
type Network struct {
	ID         string `json:"Id"`
	Name       string
	Driver     string
	Internal   bool
	EnableIPv6 bool
	Options    map[string]string
	Labels     map[string]string
	IPAM       struct {
		Config []struct{ Subnet, Gateway string }
	}
}

// Labels by which everything of a bottle is found.
const (
	LabelIdentity = "bottle.identity"
	LabelOwner    = "bottle.owner"
)

// IDs lists containers ("container") or networks ("network") with a label.
func (e *Engine) IDs(ctx context.Context, kind, label string) ([]string, error) {
	args := []string{"network", "ls", "-q", "--no-trunc", "--filter", "label=" + label}
	if kind == "container" {
		args = []string{"ps", "-a", "-q", "--no-trunc", "--filter", "label=" + label}
	}
	out, err := e.output(ctx, args...)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(out)), nil
}

// Containers inspects the containers with a label.
func (e *Engine) Containers(ctx context.Context, label string) ([]Container, error) {
	var cs []Container
	return cs, e.inspect(ctx, "container", label, &cs)
}

// Networks inspects the networks with a label.
func (e *Engine) Networks(ctx context.Context, label string) ([]Network, error) {
	var ns []Network
	return ns, e.inspect(ctx, "network", label, &ns)
}

func (e *Engine) inspect(ctx context.Context, kind, label string, into any) error {
	ids, err := e.IDs(ctx, kind, label)
	if err != nil || len(ids) == 0 {
		return err
	}
	out, err := e.output(ctx, append([]string{kind, "inspect"}, ids...)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("docker %s inspect printed what cannot be read: %w", kind, err)
	}
	return nil
}

// Subnets lists the IPv4 networks that the engine has given away.
func (e *Engine) Subnets(ctx context.Context) ([]netip.Prefix, error) {
	out, err := e.output(ctx, "network", "ls", "-q")
	if err != nil {
		return nil, err
	}
	ids := strings.Fields(string(out))
	if len(ids) == 0 {
		return nil, nil
	}
	// A network may go away between the two calls; those that are left count.
	out, err = e.output(ctx, append([]string{"network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}"}, ids...)...)
	if err != nil && len(out) == 0 {
		return nil, err
	}
	var used []netip.Prefix
	for _, s := range strings.Fields(string(out)) {
		if p, err := netip.ParsePrefix(s); err == nil {
			used = append(used, p)
		}
	}
	return used, nil
}
