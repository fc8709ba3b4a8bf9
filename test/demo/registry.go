package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/safedial"
)

// registry is where the operator's own package client gets packages from. No
// host is written down here: the operator's configuration says it.
type registry struct {
	url       string // without user information
	host      string
	authority string // host, with the port unless 443
	source    string // who said so
	// private is an address of the host that is not globally routable, "" if
	// there is none.
	private string
	// token is what the operator's configuration holds for the registry.
	token string
	// roots are certificates that the client trusts beside the system's.
	roots []byte
}

// findRegistry asks npm, or else reads ~/.npmrc. Without a registry it says why.
func findRegistry(ctx context.Context) (*registry, string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	rc := readNpmrc()
	address, source := npmConfig(ctx, "registry"), "npm config get registry"
	if address == "" {
		address, source = rc["registry"], "~/.npmrc"
	}
	if address == "" {
		return nil, "there is no npm on this machine, and no registry in ~/.npmrc"
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, source + " names no http or https URL"
	}
	u.User = nil
	r := &registry{url: u.String(), host: strings.ToLower(u.Hostname()), source: source}
	r.authority = r.host
	switch port := u.Port(); {
	case port != "" && port != "443":
		r.authority += ":" + port
	case port == "" && u.Scheme == "http":
		r.authority += ":80"
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", r.host)
	if err != nil {
		return nil, fmt.Sprintf("%s, of %s, has no address here: %v", r.host, source, err)
	}
	r.private = notPublic(addresses)
	if u.Scheme == "https" {
		r.token = os.ExpandEnv(rc["//"+u.Host+strings.TrimSuffix(u.Path, "/")+"/:_authToken"])
	}
	if file := npmConfig(ctx, "cafile"); file != "" {
		r.roots, _ = os.ReadFile(file) // without it the installation fails, and says so
	}
	return r, ""
}

func notPublic(addresses []netip.Addr) string {
	for _, a := range addresses {
		if safedial.Classify(a) != safedial.Public {
			return a.Unmap().String()
		}
	}
	return ""
}

// npmConfig is a value of npm's configuration, "" without npm or value.
func npmConfig(ctx context.Context, key string) string {
	cmd := exec.CommandContext(ctx, "npm", "config", "get", key)
	cmd.Dir = os.TempDir() // this repository's configuration has no say
	out, err := cmd.Output()
	if value := strings.TrimSpace(string(out)); err == nil && value != "undefined" && value != "null" {
		return value
	}
	return ""
}

// readNpmrc reads the keys of ~/.npmrc.
func readNpmrc() map[string]string {
	keys := map[string]string{}
	home, err := os.UserHomeDir()
	if err != nil {
		return keys
	}
	f, err := os.Open(filepath.Join(home, ".npmrc"))
	if err != nil {
		return keys
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			keys[strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return keys
}

func (r *registry) describe() string {
	s := fmt.Sprintf("%s, as `%s` says", r.authority, r.source)
	if r.source == "~/.npmrc" {
		s = fmt.Sprintf("%s, as ~/.npmrc says", r.authority)
	}
	if r.private != "" {
		s += fmt.Sprintf("; %s is not a public address, so allow_private names the host", r.private)
	}
	return s
}
