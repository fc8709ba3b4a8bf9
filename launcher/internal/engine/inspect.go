package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
)

// Container is the part of `docker inspect` that the launcher judges.
type Container struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status  string
		Running bool
		Pid     int
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
		Env    []string
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
		Networks map[string]Attachment
		Ports    map[string][]Binding
	}
}

// Attachment is a container's place in a network.
type Attachment struct{ NetworkID, IPAddress string }

// Mount is what a container sees of its host. Name is that of a volume.
type Mount struct {
	Type, Name, Source, Destination string
	RW                              bool
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

// Volume is the part of `docker volume inspect` that the launcher judges.
type Volume struct {
	Name, Driver    string
	Options, Labels map[string]string
}

// Labels by which everything of a bottle is found.
const (
	LabelIdentity = "bottle.identity"
	LabelOwner    = "bottle.owner"
)

// labelled is the query for things with a label.
func labelled(label string) url.Values {
	return url.Values{"all": {"1"}, "filters": {`{"label":[` + quoted(label) + `]}`}}
}

// ids lists the containers with a label.
func (e *Engine) ids(ctx context.Context, label string) ([]string, error) {
	var list []struct{ ID string }
	if err := e.call(ctx, "GET", "/containers/json", labelled(label), nil, &list); err != nil {
		return nil, fmt.Errorf("cannot list the containers: %w", err)
	}
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids, nil
}

// Containers inspects the containers with a label.
func (e *Engine) Containers(ctx context.Context, label string) ([]Container, error) {
	ids, err := e.ids(ctx, label)
	if err != nil {
		return nil, err
	}
	var cs []Container
	for _, id := range ids {
		var c Container
		err := e.call(ctx, "GET", "/containers/"+id+"/json", nil, nil, &c)
		if missing(err) {
			continue // it went away between the two calls
		}
		if err != nil {
			return nil, fmt.Errorf("cannot look at a container: %w", err)
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// Networks inspects the networks with a label.
func (e *Engine) Networks(ctx context.Context, label string) ([]Network, error) {
	var ns []Network
	if err := e.call(ctx, "GET", "/networks", labelled(label), nil, &ns); err != nil {
		return nil, fmt.Errorf("cannot list the networks: %w", err)
	}
	return ns, nil
}

// Volumes inspects the volumes with a label.
func (e *Engine) Volumes(ctx context.Context, label string) ([]Volume, error) {
	var list struct{ Volumes []Volume }
	if err := e.call(ctx, "GET", "/volumes", labelled(label), nil, &list); err != nil {
		return nil, fmt.Errorf("cannot list the volumes: %w", err)
	}
	return list.Volumes, nil
}

// Subnets lists the IPv4 networks that the engine has given away.
func (e *Engine) Subnets(ctx context.Context) ([]netip.Prefix, error) {
	var ns []Network
	if err := e.call(ctx, "GET", "/networks", nil, nil, &ns); err != nil {
		return nil, fmt.Errorf("cannot list the networks: %w", err)
	}
	var used []netip.Prefix
	for _, n := range ns {
		for _, c := range n.IPAM.Config {
			if p, err := netip.ParsePrefix(c.Subnet); err == nil {
				used = append(used, p)
			}
		}
	}
	return used, nil
}
