// Package gitremote reads what a manifest says about a git remote: the URL of
// its upstream, all the ways in which people spell that URL, and the rules that
// a declaration has to keep. It is pure; the launcher and the git gate use the
// same reading, so that neither takes what the other refuses.
package gitremote

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Schemes of an upstream.
const (
	SSH   = "ssh"
	HTTPS = "https"
)

// Upstream is where a remote really is.
type Upstream struct {
	Scheme string // SSH or HTTPS
	User   string // "" when the URL has none
	Host   string // lower case
	Port   string // never ""
	// Path is the repository's, as the server gets it: "/group/app.git" for a
	// URL, "group/app.git" (relative to the user's home) for the scp-like form.
	Path string
}

var (
	nameShape = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	userShape = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	hostShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	pathShape = regexp.MustCompile(`^/?[~A-Za-z0-9_][A-Za-z0-9_.~+/-]*$`)
	portShape = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)
	refShape  = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
)

// DefaultPort of each scheme.
var DefaultPort = map[string]string{SSH: "22", HTTPS: "443"}

// Parse reads an upstream's URL. Git would take much more; what is left out
// (options, spaces, percent signs, other schemes) has never been needed and has
// been the way into many a client.
func Parse(raw string) (Upstream, error) {
	var u Upstream
	scheme, rest, isURL := strings.Cut(raw, "://")
	switch {
	case isURL && (scheme == SSH || scheme == HTTPS):
		p, err := url.Parse(raw)
		if err != nil || p.RawQuery != "" || p.Fragment != "" || p.Opaque != "" || strings.ContainsAny(raw, "?#") {
			return u, fmt.Errorf("%q is not a plain %s:// URL", raw, scheme)
		}
		if _, has := p.User.Password(); has {
			return u, errors.New("the upstream's URL holds a password; name the credential by identity_file or token_ref and remove it from the URL")
		}
		u = Upstream{Scheme: scheme, User: p.User.Username(), Host: strings.ToLower(p.Hostname()), Port: p.Port(), Path: p.EscapedPath()}
	case isURL:
		return u, fmt.Errorf("the scheme %q is not served; write ssh://, https:// or user@host:path", scheme)
	default:
		at, path, ok := strings.Cut(raw, ":")
		user, host, hasUser := strings.Cut(at, "@")
		if !hasUser {
			user, host = "", at
		}
		if !ok || rest == "" && path == "" {
			return u, fmt.Errorf("%q is neither a URL (ssh://, https://) nor user@host:path", raw)
		}
		u = Upstream{Scheme: SSH, User: user, Host: strings.ToLower(host), Path: path}
	}
	if u.Port == "" {
		u.Port = DefaultPort[u.Scheme]
	}
	return u, u.check(raw)
}

func (u *Upstream) check(raw string) error {
	u.Path = strings.TrimRight(u.Path, "/")
	switch {
	case !hostShape.MatchString(u.Host) && net.ParseIP(u.Host) == nil:
		return fmt.Errorf("%q does not name a host", raw)
	case u.User != "" && !userShape.MatchString(u.User):
		return fmt.Errorf("the user name in %q holds odd characters", raw)
	case !portShape.MatchString(u.Port):
		return fmt.Errorf("%q does not name a port", raw)
	case !pathShape.MatchString(u.Path):
		return fmt.Errorf("the path in %q is empty or holds odd characters", raw)
	}
	for _, elem := range strings.Split(strings.TrimPrefix(u.Path, "/"), "/") {
		if elem == "" || elem == "." || elem == ".." || strings.HasPrefix(elem, "-") {
			return fmt.Errorf("the path in %q has an element that is empty, a dot, or begins with a hyphen", raw)
		}
	}
	return nil
}

// Address is host:port.
func (u Upstream) Address() string { return net.JoinHostPort(u.Host, u.Port) }

// URL is the upstream as git is given it; it never holds a credential.
func (u Upstream) URL() string {
	host := u.Host
	if u.Port != DefaultPort[u.Scheme] {
		host = u.Address()
	}
	if u.User != "" && u.Scheme == SSH {
		host = u.User + "@" + host
	}
	if !strings.HasPrefix(u.Path, "/") { // relative to the home directory
		return host + ":" + u.Path
	}
	return u.Scheme + "://" + host + u.Path
}

// Spellings are the URLs by which people call this upstream, with and without
// ".git": ssh and scp-like, https, http and git, with the URL's own user, with
// "git" and with none.
func (u Upstream) Spellings() []string {
	bare := strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), ".git")
	var out []string
	add := func(s string) {
		for _, s := range []string{s, s + ".git"} {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	users := []string{"", "git@"}
	if u.User != "" && u.User != "git" {
		users = append(users, u.User+"@")
	}
	for _, user := range users {
		at := user + u.Host
		if u.Scheme == SSH {
			add("ssh://" + user + u.Address() + "/" + bare)
			if u.Port == DefaultPort[SSH] {
				add("ssh://" + at + "/" + bare)
				add(at + ":" + bare)
				add(at + ":/" + bare)
			}
			add("https://" + at + "/" + bare)
			continue
		}
		add("https://" + user + u.Address() + "/" + bare)
		if u.Port == DefaultPort[HTTPS] {
			add("https://" + at + "/" + bare)
		}
		add("ssh://" + at + "/" + bare)
		add(at + ":" + bare)
	}
	add("git://" + u.Host + "/" + bare)
	add("http://" + u.Host + "/" + bare)
	return out
}
