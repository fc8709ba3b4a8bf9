package preset

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Site is one place that packages come from.
type Site struct {
	// Host is the name as a route writes it: with the port, unless 443.
	Host string
	// Path is the prefix below which the client reads, "" for everything.
	Path string
	// Source says in whose configuration it stands.
	Source string
	// EncodedSlash says that the client asks for "@scope%2Fname".
	EncodedSlash bool
	// Plain says that it is reached over HTTP without TLS.
	Plain bool
	// Credential says that the URL held a user name or a password. It was left
	// out, so the site answers only if a route injects one.
	Credential bool
	// Private is the address that the name has here, if that is not a public
	// one; else "".
	Private string
}

// Name is the host without its port.
func (s Site) Name() string {
	name, _, _ := strings.Cut(s.Host, ":")
	return name
}

// readers are the methods of a client that only reads.
var readers = []string{"GET", "HEAD"}

func (s Site) route() wire.Route {
	m := wire.Match{Methods: readers}
	if s.Path != "" {
		m.Path = &wire.PathMatch{Prefix: s.Path}
	}
	return wire.Route{Host: s.Host, Matches: []wire.Match{m}, EncodedSlash: s.EncodedSlash}
}

var errURL = errors.New("is not a URL that a bottle can reach; it must be http or https, with a host name, without query")

// parseSite reads the URL that a source names. The URL that it returns is the
// same without a credential. No error quotes the URL, which may hold one.
func parseSite(source, raw string) (Site, *url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		if err == nil && u.Scheme == "file" {
			return Site{}, nil, fmt.Errorf("what %s names is a directory of this machine, which a bottle cannot see", source)
		}
		return Site{}, nil, fmt.Errorf("what %s names %w", source, errURL)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": route.DefaultPort}[u.Scheme]
	}
	host, port, err := route.SplitAuthority(net.JoinHostPort(u.Hostname(), port), "")
	if err != nil {
		return Site{}, nil, fmt.Errorf("what %s names %w: %w", source, errURL, err)
	}
	s := Site{Host: host, Source: source, Plain: u.Scheme == "http", Credential: u.User != nil}
	if port != route.DefaultPort {
		s.Host += ":" + port
	}
	// A path with two spellings is refused, as it would be when it is asked for.
	if s.Path, err = route.CanonicalPath("/" + strings.Trim(u.EscapedPath(), "/")); err != nil {
		return Site{}, nil, fmt.Errorf("what %s names %w: %w", source, errURL, err)
	}
	if s.Path == "/" {
		s.Path = ""
	}
	clean := *u
	clean.User = nil
	return s, &clean, nil
}

// unique drops sites that others cover.
func unique(sites []Site) []Site {
	var out []Site
	for _, s := range sites {
		same := func(o Site) bool { return o.Host == s.Host && o.Path == s.Path && o.Plain == s.Plain }
		i := slices.IndexFunc(out, same)
		if i < 0 {
			out = append(out, s)
			continue
		}
		out[i].Credential = out[i].Credential || s.Credential
		out[i].EncodedSlash = out[i].EncodedSlash || s.EncodedSlash
	}
	return out
}
