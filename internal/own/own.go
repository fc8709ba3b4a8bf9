// Package own finds what a request carries of the agent's own beside what the
// bottle gives it: a credential on a host whose credential the bottle provides,
// or a placeholder in another place than its own.
//
// Both are signs of an agent that was talked into something. A foreign key on an
// allowed host moves data into somebody else's account; a placeholder on the way
// to another host is an attempt to send a token there. Neither holds a secret of
// the bottle, so nothing would be lost by removing them in silence, as every
// route does with the fields it knows: but a refusal with its reason is what
// tells an honest agent to mend its configuration, and the operator that another
// one tried.
package own

import (
	"encoding/base64"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Fields are header fields in which an agent could carry a credential of its
// own, in canonical form. They are removed on every route, and refused on a host
// whose credential the bottle provides.
var Fields = []string{
	"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key",
	"X-Auth-Token", "Private-Token", "Job-Token", "X-Access-Token", "X-Amz-Security-Token",
}

// queryKeys are keys of a query that servers take a credential from, folded.
// Shorter ones, such as "key" and "token", mean other things as often: a route
// names those itself.
var queryKeys = []string{
	"access_token", "api_key", "apikey", "auth_token", "authorization", "job_token",
	"oauth_token", "private_token", "x_api_key", "x_amz_security_token",
}

// Rules say what a request may carry.
type Rules struct {
	// Auth is the route's, nil when it injects nothing.
	Auth *wire.Auth
	// Credentialed says that a route of this host injects a credential.
	Credentialed bool
}

// Field returns the canonical name of the field that auth is injected into.
func Field(a *wire.Auth) string {
	if a.Scheme == wire.SchemeHeader {
		return textproto.CanonicalMIMEHeaderKey(a.Header)
	}
	return "Authorization"
}

// Folded writes a field's name as gateways that make variables of names see it:
// with no difference between hyphen and underscore.
func Folded(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name // canonical, as net/http delivers it
	}
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// Check judges a request's header fields (canonical names), escaped path and raw
// query. It returns the denial, or nil. The body is [Body]'s.
func (r Rules) Check(header map[string][]string, path, query string) *policy.Decision {
	if holds(path) {
		return misplaced("the path")
	}
	if query != "" {
		if d := r.checkQuery(query); d != nil {
			return d
		}
	}
	for name, values := range header {
		if len(name) >= len(secret.PlaceholderPrefix) && strings.Contains(strings.ToLower(name), secret.PlaceholderPrefix) {
			return misplaced("the name of a header")
		}
		field := Folded(name)
		credential := slices.Contains(Fields, field) || r.Auth != nil && field == Field(r.Auth)
		for _, v := range values {
			if d := r.checkField(field, v, credential); d != nil {
				return d
			}
		}
	}
	return nil
}

// checkField judges one value of a field.
func (r Rules) checkField(field, value string, credential bool) *policy.Decision {
	token, user := value, ""
	if credential {
		token, user = bare(value)
	}
	switch ref, ok := secret.PlaceholderRef(token); {
	case holds(user):
		return misplaced("the user name of " + field)
	case ok && credential && r.Auth != nil && field == Field(r.Auth) && ref == r.Auth.TokenRef:
		return nil // its own place: what is injected replaces it
	case ok && r.Auth != nil && ref == r.Auth.TokenRef:
		return misplaced("the header " + field + ", while this route's credential goes into " + Field(r.Auth))
	case holds(value) || holds(token):
		return misplaced("the header " + field)
	case credential && token != "" && r.refuses():
		return foreign("the header " + field)
	}
	return nil
}

func (r Rules) checkQuery(query string) *policy.Decision {
	if holds(query) {
		return misplaced("the query")
	}
	if !r.refuses() {
		return nil
	}
	for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
		key, value, _ := strings.Cut(pair, "=")
		if value != "" && r.isCredentialKey(key) {
			return foreign("the query, as " + clip(key))
		}
	}
	return nil
}

func (r Rules) isCredentialKey(key string) bool {
	if plain, err := url.QueryUnescape(key); err == nil {
		key = plain
	}
	key = foldKey(key)
	if slices.Contains(queryKeys, key) {
		return true
	}
	return r.Auth != nil && slices.ContainsFunc(r.Auth.Query, func(k string) bool { return foldKey(k) == key })
}

// foldKey writes a query's key as lenient servers see it: in lower case, without
// a subscript, with no difference between hyphen and underscore.
func foldKey(key string) string {
	key, _, _ = strings.Cut(strings.TrimSpace(key), "[")
	return strings.ReplaceAll(strings.ToLower(key), "-", "_")
}

func (r Rules) refuses() bool {
	return r.Credentialed && (r.Auth == nil || r.Auth.AgentCredential != wire.AgentCredentialStrip)
}

// bare takes the credential out of a field's value: without its scheme, and of
// Basic the password, with the user name beside it.
func bare(value string) (token, user string) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(value), " ")
	if !ok {
		return scheme, ""
	}
	rest = strings.TrimSpace(rest)
	if !strings.EqualFold(scheme, wire.SchemeBasic) {
		return rest, ""
	}
	plain, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return rest, ""
	}
	user, password, ok := strings.Cut(string(plain), ":")
	if !ok || password == "" { // some clients send the token as the user
		return user, ""
	}
	return password, user
}

// holds reports whether a text has a placeholder in it, percent-encoded or not.
func holds(text string) bool {
	if strings.Contains(text, secret.PlaceholderPrefix) {
		return true
	}
	if strings.IndexByte(text, '%') < 0 {
		return false
	}
	plain, err := url.PathUnescape(text)
	return err == nil && strings.Contains(plain, secret.PlaceholderPrefix)
}

func misplaced(where string) *policy.Decision {
	d := policy.Denied(policy.ReasonPlaceholderMisplaced, "",
		"A placeholder stands in "+where+". It is replaced only in the field of the route that its token belongs to.")
	return &d
}

func foreign(where string) *policy.Decision {
	d := policy.Denied(policy.ReasonAgentCredential, "",
		"A credential of the agent's own stands in "+where+". The bottle provides this host's credential: send none, or its placeholder.")
	return &d
}

// clip bounds what a request can make a sentence hold.
func clip(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
}
