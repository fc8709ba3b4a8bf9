// Package gitpush recognises requests by which git writes over HTTP, so that
// both proxies refuse them whatever else they allow: pushes go through the git
// gate, which scans every object and holds the remote's credential.
//
// Names are compared after decoding and in any case, and a path is looked at in
// both readings of an encoded slash and without its parameters, because a
// server may be lenient.
package gitpush

import (
	"net/url"
	"strings"

	"github.com/bottlesuite/bottle/internal/route"
)

// service is what a push asks for, in the first request's query and in the
// second one's path (gitprotocol-http).
const service = "git-receive-pack"

// IsPush reports whether a request is one of the two of a push by git's smart
// HTTP protocol: the ref advertisement, or the pack itself. Path must be as
// route.PathWithSlashes returns it.
func IsPush(path, rawQuery string) bool {
	path = plain(path)
	if strings.Contains(path, "/"+service) {
		return true
	}
	query, err := url.QueryUnescape(rawQuery)
	if err != nil {
		query = rawQuery
	}
	return strings.Contains(strings.ToLower(query), service)
}

// plain is a path in lower case, with encoded slashes taken for slashes and
// without the parameters (";x=1") of its segments.
func plain(path string) string {
	path = strings.ToLower(route.BareSlashes(path))
	path = strings.ReplaceAll(path, "%3b", ";")
	if !strings.Contains(path, ";") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}
