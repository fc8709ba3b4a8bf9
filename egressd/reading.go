package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/egressd/internal/own"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
)

// reading is the one way in which a request is read. What is judged is what is
// sent: forward builds the outgoing request from these values.
type reading struct {
	scheme string // "https" or "http"
	host   string // lower case, without port
	port   string
	method string
	path   string // canonical, escaped
	// slashes says that the path holds an encoded slash.
	slashes bool
	query   string // as it came, without "?"
	// upgrade is the lower-case protocol that the client asks to switch to.
	upgrade string
}

// authority returns the host with its port, unless that is the scheme's own.
func (r reading) authority() string {
	if r.scheme == "https" && r.port == "443" || r.scheme == "http" && r.port == "80" {
		return r.host
	}
	return r.host + ":" + r.port
}

var defaultPorts = map[string]string{"https": "443", "http": "80"}

// read takes a request's naming parts to pieces, or says why they have no or
// two readings.
func read(scheme, authority, method, target string) (reading, *policy.Decision) {
	host, port, err := route.SplitAuthority(authority, defaultPorts[scheme])
	if err != nil {
		return reading{}, refuse(policy.ReasonBadAuthority, "The destination is refused: "+err.Error()+".")
	}
	r := reading{scheme: scheme, host: host, port: port, method: method}
	if target == "*" || !strings.HasPrefix(target, "/") {
		return r, refuse(policy.ReasonBadRequest, "The request target must be a path.")
	}
	path, query, _ := strings.Cut(target, "?")
	if r.path, r.slashes, err = route.PathWithSlashes(path); err != nil {
		return r, refuse(policy.ReasonAmbiguousPath, "The path is refused: "+err.Error()+".")
	}
	if i := strings.IndexFunc(query, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }); i >= 0 {
		return r, refuse(policy.ReasonBadRequest, "The query holds a byte that must be percent-encoded.")
	}
	r.query = query
	return r, nil
}

func refuse(reason policy.Reason, detail string) *policy.Decision {
	d := policy.Denied(reason, "", detail)
	return &d
}

// connectionOptions are the only ones a client may name: naming an end-to-end
// field would make the next hop drop it.
var connectionOptions = []string{"close", "keep-alive", "upgrade", "te"}

// readFraming refuses uses of HTTP's own machinery that have no honest purpose
// here, and notes an upgrade.
func (r *reading) readFraming(h http.Header) *policy.Decision {
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
		r.upgrade = strings.ToLower(strings.TrimSpace(up[0]))
	}
	return nil
}
