package verify

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// site is what is known of a bottle from outside.
type site struct {
	Subject
	// containers and networks by component.
	containers map[string]engine.Container
	networks   map[string]engine.Network
	egress     *wire.Egressd
	lock       *wire.Pipelockd
	git        *wire.Gitgated
	supervise  *wire.Superviserd
	routes     *route.Table
	ear        *ear
	// machine is the guest, where it is a virtual machine.
	machine *vmachine
	logs    map[string]*logFile
	// others are addresses of other bottles on this engine.
	others []string

	// once guards what was found from outside, which is found once.
	once   sync.Mutex
	judged map[string][2]string
}

// survey reads the files of a bottle and asks the engine about it.
func survey(ctx context.Context, subject Subject) (*site, error) {
	s := &site{Subject: subject, containers: map[string]engine.Container{}, networks: map[string]engine.Network{}, judged: map[string][2]string{}}
	if err := s.readConfigs(); err != nil {
		return nil, err
	}
	label := engine.LabelIdentity + "=" + s.Identity
	cs, err := s.Engine.Containers(ctx, label)
	if err != nil {
		return nil, err
	}
	for _, c := range cs {
		s.containers[c.Component()] = c
	}
	ns, err := s.Engine.Networks(ctx, label)
	if err != nil {
		return nil, err
	}
	for _, n := range ns {
		s.networks[n.Labels["bottle.component"]] = n
	}
	for component, c := range s.containers {
		if !c.State.Running {
			return nil, fmt.Errorf("%s of %s does not run (%s), so nothing can be proven; start the bottle anew", component, s.Identity, c.Condition())
		}
	}
	if s.OnCard != nil {
		if s.machine, err = s.surveyMachine(); err != nil {
			return nil, err
		}
	} else if _, ok := s.containers[agent]; !ok {
		return nil, fmt.Errorf("%s has no container of the agent's", s.Identity)
	}
	if s.others, err = s.otherBottles(ctx); err != nil {
		return nil, err
	}
	s.openLogs()
	return s, nil
}

func (s *site) readConfigs() (err error) {
	s.lock = &wire.Pipelockd{}
	if _, err = s.config("pipelockd", s.lock); err != nil {
		return err
	}
	var e wire.Egressd
	if ok, err := s.config("egressd", &e); err != nil {
		return err
	} else if ok {
		s.egress = &e
		if s.routes, err = route.Compile(e.Routes); err != nil {
			return fmt.Errorf("the routes of the bottle cannot be read: %w", err)
		}
	}
	var g wire.Gitgated
	if ok, err := s.config("gitgated", &g); err != nil {
		return err
	} else if ok {
		s.git = &g
	}
	var v wire.Superviserd
	if ok, err := s.config("superviserd", &v); err != nil {
		return err
	} else if ok {
		s.supervise = &v
	}
	return nil
}

// config reads the configuration of a sidecar, if it stands in the bottle.
func (s *site) config(name string, v any) (bool, error) {
	file := filepath.Join(s.Dir, "config", name+".yaml")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && name != "pipelockd" {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the bottle's configuration: %w", err)
	}
	doc, err := wire.Parse(file, data, 1)
	if err != nil {
		return false, err
	}
	return true, doc.Decode(v)
}

// proxy is the agent's proxy, by address: what is proven must not depend on names.
func (s *site) proxy() string {
	if s.egress != nil {
		return net.JoinHostPort(s.proxyAddress(), "9099")
	}
	return net.JoinHostPort(s.proxyAddress(), "8888")
}

// resolver is the address of the guest's resolver: its proxy, or the gateway of
// its machine.
func (s *site) resolver() string {
	if s.machine != nil {
		return s.machine.gateway.String()
	}
	return s.proxyAddress()
}

// proxyAddress is the address of the agent's proxy.
func (s *site) proxyAddress() string {
	if s.egress != nil {
		return s.address("egressd", "inside")
	}
	return s.address("pipelockd", "inside")
}

// address is that of a container in a network of the bottle, "" when it has none.
func (s *site) address(component, network string) string {
	for _, n := range s.containers[component].NetworkSettings.Networks {
		if n.NetworkID == s.networks[network].ID {
			return n.IPAddress
		}
	}
	return ""
}

// gateways are the addresses that an engine gives to the host's side of the
// bottle's bridges.
func (s *site) gateways() (list []string) {
	for _, n := range s.networks {
		for _, c := range n.IPAM.Config {
			if p, err := netip.ParsePrefix(c.Subnet); err == nil {
				list = append(list, p.Masked().Addr().Next().String())
			}
		}
	}
	return list
}

// gatekeeper is who may take packets of the agent's for other networks, "" when
// nobody has the address of its gateway.
func (s *site) gatekeeper() string {
	inside := s.networks["inside"]
	for name, n := range s.containers[agent].NetworkSettings.Networks {
		if n.NetworkID != inside.ID {
			return "the agent is on the network " + name
		}
	}
	if why := s.local(); why != "" {
		return why
	}
	for _, c := range inside.IPAM.Config {
		p, err := netip.ParsePrefix(c.Subnet)
		if err != nil {
			return "the subnet of the agent cannot be read"
		}
		for _, h := range s.hostAddresses() {
			if a, err := netip.ParseAddr(h); err == nil && p.Contains(a) {
				return "the host has the address " + h
			}
		}
		for component := range s.containers {
			if s.address(component, "inside") == p.Masked().Addr().Next().String() {
				return component + " has the gateway's address"
			}
		}
	}
	return ""
}

// otherBottles are the addresses of sidecars that are not this bottle's.
func (s *site) otherBottles(ctx context.Context) (list []string, err error) {
	cs, err := s.Engine.Containers(ctx, engine.LabelIdentity)
	if err != nil {
		return nil, err
	}
	const enough = 12
	for _, c := range cs {
		if c.Config.Labels[engine.LabelIdentity] == s.Identity || c.Component() == "agent" {
			continue
		}
		for _, n := range c.NetworkSettings.Networks {
			if n.IPAddress != "" && len(list) < enough {
				list = append(list, n.IPAddress)
			}
		}
	}
	return list, nil
}

// local says why listeners of this process cannot stand for the engine's host, ""
// when they can.
func (s *site) local() string {
	bridge := "br-"
	if n := s.networks["inside"]; len(n.ID) >= 12 {
		bridge += n.ID[:12]
	}
	if _, err := net.InterfaceByName(bridge); err != nil {
		return "the engine runs on another machine, where nobody can listen for what gets out"
	}
	return ""
}

// root is the SHA-256 of the one root that the guest may trust, in lower-case
// hexadecimal: the recorded one, or that of the certificate which has signed
// the proxy's.
func (s *site) root() (string, error) {
	if s.Root != "" {
		return strings.ToLower(strings.ReplaceAll(s.Root, ":", "")), nil
	}
	proxy := "egress"
	if s.egress == nil {
		proxy = "pipelock"
	}
	signed, err := readCertificates(filepath.Join(s.Dir, "ca", proxy, "cert.pem"))
	if err != nil || len(signed) == 0 {
		return "", fmt.Errorf("cannot read the certificate of the bottle's proxy: %w", err)
	}
	roots, err := readCertificates(filepath.Join(s.Dir, "ca", "agent", "ca-certificates.crt"))
	if err != nil {
		return "", fmt.Errorf("cannot read the root of the bottle: %w", err)
	}
	for _, r := range roots {
		if signed[0].CheckSignatureFrom(r) == nil {
			return sumOf(r.Raw), nil
		}
	}
	return "", fmt.Errorf("no root in %s has signed the certificate of the bottle's proxy", s.Dir)
}

func readCertificates(file string) (list []*x509.Certificate, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// secrets are what no guest may hold, by name: the tokens of the bottle and the
// private keys of its authorities.
func (s *site) secrets() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, component := range []string{"egressd", "gitgated"} {
		for _, m := range s.containers[component].Mounts {
			if !strings.HasPrefix(m.Destination, "/run/secrets/") {
				continue
			}
			data, err := os.ReadFile(m.Source)
			if err != nil {
				return nil, fmt.Errorf("cannot read the token %s to look for it: %w", filepath.Base(m.Destination), err)
			}
			out[filepath.Base(m.Destination)] = longestLine(data)
		}
	}
	err := filepath.WalkDir(filepath.Join(s.Dir, "ca"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !strings.HasSuffix(name, ".key") && !strings.HasPrefix(e.Name(), "key") {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(s.Dir, name)
		out[rel] = longestLine(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the bottle's keys to look for them: %w", err)
	}
	for name, v := range out {
		if len(v) < 8 {
			delete(out, name) // too short to tell it from ordinary text
		}
	}
	return out, nil
}

// longestLine is what a file is known by: a whole token, or one line of a key.
func longestLine(data []byte) (longest []byte) {
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > len(longest) && !bytes.HasPrefix(line, []byte("-----")) {
			longest = line
		}
	}
	return longest
}
