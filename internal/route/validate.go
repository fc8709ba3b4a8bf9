package route

import (
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
)

var tokenRef = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// ValidTokenRef reports whether name can name a token: an environment variable
// in upper case, which is a safe file name too.
func ValidTokenRef(name string) bool { return len(name) <= 128 && tokenRef.MatchString(name) }

// unsettable are fields that frame or route a message; a credential never goes
// into one of them.
var unsettable = []string{
	"Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer",
	"Upgrade", "Expect", "Keep-Alive", "Proxy-Connection", "Content-Type", "Content-Encoding",
}

// Validate checks a route. An error comes with the name of the faulty field
// within the route, such as "matches[0].path.prefix".
func Validate(r wire.Route) (field string, err error) {
	_, port, _, err := SplitPattern(strings.ToLower(r.Host))
	if err != nil {
		return "host", err
	}
	for i, m := range r.Matches {
		if field, err := validateMatch(m); err != nil {
			return "matches[" + strconv.Itoa(i) + "]" + field, err
		}
	}
	if r.Auth == nil {
		return "", nil
	}
	if port == "80" {
		return "auth", fmt.Errorf("port 80 is plain HTTP, and a credential is sent over TLS only; remove auth or the port")
	}
	return validateAuth(*r.Auth)
}

func validateMatch(m wire.Match) (field string, err error) {
	for i, name := range m.Methods {
		if !isMethod(name) {
			return ".methods[" + strconv.Itoa(i) + "]",
				fmt.Errorf("the method %q is not an upper-case HTTP method that a rule can allow", name)
		}
	}
	for name := range m.Headers {
		if !isFieldName(name) || strings.EqualFold(name, "host") {
			return ".headers." + name, fmt.Errorf("%q is not a header that a rule can look at", name)
		}
	}
	if m.Path == nil {
		return "", nil
	}
	return validatePath(*m.Path)
}

func validatePath(p wire.PathMatch) (field string, err error) {
	given := 0
	for _, v := range []string{p.Exact, p.Prefix, p.Regex} {
		if v != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return ".path", fmt.Errorf("give exactly one of exact, prefix and regex")
	case p.Exact != "":
		return ".path.exact", checkRulePath(p.Exact)
	case p.Prefix != "":
		return ".path.prefix", checkRulePath(p.Prefix)
	}
	if _, err := regexp.Compile(anchored(p.Regex)); err != nil {
		return ".path.regex", fmt.Errorf("the expression %q is not RE2: %w", p.Regex, err)
	}
	return "", nil
}

// anchored makes an expression match whole paths only. The group keeps
// alternatives together.
func anchored(expr string) string { return `\A(?:` + expr + `)\z` }

func checkRulePath(path string) error {
	canonical, err := CanonicalPath(path)
	if err != nil {
		return fmt.Errorf("the path %q can never match: %w", path, err)
	}
	if canonical != path {
		return fmt.Errorf("write the path as %q, the spelling that requests are compared in", canonical)
	}
	return nil
}

func isMethod(s string) bool {
	if s == "" || s == "CONNECT" || s == "TRACE" {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return c != '-' && (c < 'A' || c > 'Z') }) < 0
}

func validateAuth(a wire.Auth) (field string, err error) {
	if !ValidTokenRef(a.TokenRef) {
		return "auth.token_ref", fmt.Errorf("token_ref %q is not the name of an environment variable ([A-Z][A-Z0-9_]*)", a.TokenRef)
	}
	switch a.AgentCredential {
	case "", wire.AgentCredentialRefuse, wire.AgentCredentialStrip:
	default:
		return "auth.agent_credential", fmt.Errorf("agent_credential %q is neither refuse nor strip", a.AgentCredential)
	}
	for i, key := range a.Query {
		if !isFieldName(key) {
			return "auth.query[" + strconv.Itoa(i) + "]", fmt.Errorf("%q is not a key of a query: letters, digits, hyphens and underscores", key)
		}
	}
	switch a.Scheme {
	case wire.SchemeBearer, wire.SchemeToken, wire.SchemeBasic:
		if a.Header != "" {
			return "auth.header", fmt.Errorf("header goes with the scheme %q only; %s sets Authorization", wire.SchemeHeader, a.Scheme)
		}
	case wire.SchemeHeader:
		return "auth.header", checkHeaderName(a.Header)
	default:
		return "auth.scheme", fmt.Errorf("unknown scheme %q; use Bearer, token, Basic or header", a.Scheme)
	}
	return "", nil
}

func checkHeaderName(name string) error {
	if name == "" {
		return fmt.Errorf("the scheme header needs a header name, such as x-api-key")
	}
	if !isFieldName(name) {
		return fmt.Errorf("%q is not a header name", name)
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if slices.Contains(unsettable, canonical) || strings.HasPrefix(canonical, "Proxy-") || strings.HasPrefix(canonical, "Bottle-") {
		return fmt.Errorf("the header %q frames or routes the request and cannot carry a credential", name)
	}
	return nil
}

// isFieldName takes letters, digits, hyphens and underscores, which is less than
// RFC 9110 does and all that headers are called.
func isFieldName(name string) bool {
	for i := range len(name) {
		if !isHostByte(name[i]) {
			return false
		}
	}
	return name != ""
}
