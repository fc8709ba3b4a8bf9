package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/egressd/internal/scrub"
	"github.com/bottlesuite/bottle/internal/own"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/wire"
)

// overrides ask a server to treat a request as one with another method, path or
// range.
var overrides = []string{
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Method",
	"X-Original-Url", "X-Rewrite-Url", "Request-Range",
}

// credentialWords are parts of the names that servers and their gateways take
// credentials from. On a route that injects one, a field with such a name is
// removed whatever else it is called.
var credentialWords = []string{
	"authoriz", "authentic", "api-key", "apikey", "auth-key", "auth-token", "access-token",
	"-token", "token-", "secret", "credential", "password", "cookie", "dpop",
}

// credentials holds the tokens of a table's routes, by token_ref. It is
// immutable.
type credentials map[string]secret.String

// loadCredentials reads each token that a route names from a file of that name
// in dir.
func loadCredentials(dir string, routes []wire.Route) (credentials, error) {
	c := credentials{}
	for i, r := range routes {
		if r.Auth == nil {
			continue
		}
		s, err := secret.ReadFile(filepath.Join(dir, r.Auth.TokenRef))
		if err != nil {
			return nil, fmt.Errorf("routes[%d] needs the token %s: %w", i, r.Auth.TokenRef, err)
		}
		if len(s.Reveal()) < scrub.MinLength {
			return nil, fmt.Errorf("routes[%d]: the token %s is shorter than %d bytes, which cannot be scrubbed from responses; use a longer one", i, r.Auth.TokenRef, scrub.MinLength)
		}
		c[r.Auth.TokenRef] = s
	}
	return c, nil
}

// stripped are fields that no route passes on: an agent's own credentials and
// the overrides.
var stripped = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range slices.Concat(own.Fields, []string{"Proxy-Authorization"}, overrides) {
		m[name] = true
	}
	return m
}()

// strip removes the agent's own credentials and what would change the meaning
// of the request behind the proxy's back.
func strip(h http.Header) {
	for name := range h {
		f := own.Folded(name)
		if stripped[f] || strings.HasPrefix(f, "Bottle-") || strings.HasPrefix(f, "X-Bottle-") {
			delete(h, name)
		}
	}
}

// stripCredentials removes what could be read beside the route's own credential.
func stripCredentials(h http.Header) {
	for name := range h {
		f := strings.ToLower(own.Folded(name))
		if slices.ContainsFunc(credentialWords, func(word string) bool { return strings.Contains(f, word) }) {
			delete(h, name)
		}
	}
}

// inject sets the credential of a route, once, and returns the field's name. It
// reports false when the token is missing.
func (c credentials) inject(h http.Header, a wire.Auth) (field string, ok bool) {
	token, ok := c[a.TokenRef]
	if !ok || token.Empty() {
		return "", false
	}
	field, value := own.Field(&a), ""
	switch a.Scheme {
	case wire.SchemeBasic:
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(token.Reveal()))
	case wire.SchemeHeader:
		value = token.Reveal()
	default:
		value = a.Scheme + " " + token.Reveal()
	}
	for name := range h { // X_Api_Key beside X-Api-Key would be a second reading
		if own.Folded(name) == field {
			delete(h, name)
		}
	}
	h[field] = []string{value}
	return field, true
}
