// Package egress reads a request in the one way in which egressd reads it, and
// decides about it by a table of routes. It is pure, so that whoever wants to know
// what egressd would do asks the same code: the daemon itself, its `check`, and the
// launcher's.
package egress

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/own"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
)

// Request is the one way in which a request is read. What is judged is what is
// sent: egressd builds the outgoing request from these values.
type Request struct {
	Scheme string // "https" or "http"
	Host   string // lower case, without port
	Port   string
	Method string
	Path   string // canonical, escaped
	// Slashes says that the path holds an encoded slash.
	Slashes bool
	Query   string // as it came, without "?"
	// Upgrade is the lower-case protocol that the client asks to switch to.
	Upgrade string
}

// Authority returns the host with its port, unless that is the scheme's own.
func (r Request) Authority() string {
	if r.Scheme == "https" && r.Port == "443" || r.Scheme == "http" && r.Port == "80" {
		return r.Host
	}
	return r.Host + ":" + r.Port
}

var defaultPorts = map[string]string{"https": "443", "http": "80"}

// ReadURL is [Read] for a URL, which must be absolute.
func ReadURL(method, rawURL string) (Request, *policy.Decision, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return Request{}, nil, fmt.Errorf("%q is not an http or https URL", rawURL)
	}
	authority, target := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, target = rest[:i], rest[i:]
		if target[0] == '?' {
			target = "/" + target
		}
	}
	r, denial := Read(scheme, authority, method, target)
	return r, denial, nil
}

// Read takes a request's naming parts to pieces, or says why they have no or
// two readings.
func Read(scheme, authority, method, target string) (Request, *policy.Decision) {
	host, port, err := route.SplitAuthority(authority, defaultPorts[scheme])
	if err != nil {
		return Request{}, refuse(policy.ReasonBadAuthority, "The destination is refused: "+err.Error()+".")
	}
	r := Request{Scheme: scheme, Host: host, Port: port, Method: method}
	if target == "*" || !strings.HasPrefix(target, "/") {
		return r, refuse(policy.ReasonBadRequest, "The request target must be a path.")
	}
	path, query, _ := strings.Cut(target, "?")
	if r.Path, r.Slashes, err = route.PathWithSlashes(path); err != nil {
		return r, refuse(policy.ReasonAmbiguousPath, "The path is refused: "+err.Error()+".")
	}
	if i := strings.IndexFunc(query, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }); i >= 0 {
		return r, refuse(policy.ReasonBadRequest, "The query holds a byte that must be percent-encoded.")
	}
	r.Query = query
	return r, nil
}

func refuse(reason policy.Reason, detail string) *policy.Decision {
	d := policy.Denied(reason, "", detail)
	return &d
}

// connectionOptions are the only ones a client may name: naming an end-to-end
// field would make the next hop drop it.
var connectionOptions = []string{"close", "keep-alive", "upgrade", "te"}

// ReadFraming refuses uses of HTTP's own machinery that have no honest purpose
// here, and notes an upgrade.
func (r *Request) ReadFraming(h http.Header) *policy.Decision {
	if len(h["Host"]) > 0 { // net/http takes Host out of HTTP/1.1; here it stands beside :authority
		return refuse(policy.ReasonAuthorityMismatch, "A Host header stands beside :authority.")
	}
	for name := range h {
		if f := own.Folded(name); f != name && len(h[f]) > 0 {
			return refuse(policy.ReasonBadRequest, "A header stands there in two spellings, with hyphens and with underscores.")
		}
	}
	for _, field := range h["Connection"] {
		for option := range strings.SplitSeq(field, ",") {
			option = strings.ToLower(strings.TrimSpace(option))
			if option != "" && !slices.Contains(connectionOptions, option) {
				return refuse(policy.ReasonBadRequest, "The Connection header names a field that may not be dropped on the way.")
			}
		}
	}
	switch up := h["Upgrade"]; {
	case len(up) > 1:
		return refuse(policy.ReasonBadRequest, "There is more than one Upgrade header.")
	case len(up) == 1:
		r.Upgrade = strings.ToLower(strings.TrimSpace(up[0]))
	}
	return nil
}
