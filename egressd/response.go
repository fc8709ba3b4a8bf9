package main

import (
	"io"
	"net/http"
	"strings"

	"github.com/bottlesuite/bottle/egressd/internal/scrub"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/wire"
)

// scrubSets finds what responses are scrubbed of: every token of the table, but
// for one whose route says "scrub: false".
func scrubSets(routes []wire.Route, creds credentials) map[string]*scrub.Set {
	var all []scrub.Secret
	seen := map[string]bool{}
	for _, r := range routes {
		if r.Auth == nil || seen[r.Auth.TokenRef] {
			continue
		}
		seen[r.Auth.TokenRef] = true
		token := creds[r.Auth.TokenRef]
		all = append(all, scrub.Secret{Name: r.Auth.TokenRef, Value: token})
		if _, password, ok := strings.Cut(token.Reveal(), ":"); ok && r.Auth.Scheme == wire.SchemeBasic {
			all = append(all, scrub.Secret{Name: r.Auth.TokenRef, Value: secret.New(password)})
		}
	}
	sets := map[string]*scrub.Set{"": scrub.NewSet(all)}
	for _, r := range routes {
		if r.Auth == nil || r.Auth.Scrub == nil || *r.Auth.Scrub {
			continue
		}
		var rest []scrub.Secret
		for _, s := range all {
			if s.Name != r.Auth.TokenRef {
				rest = append(rest, s)
			}
		}
		sets[r.Auth.TokenRef] = scrub.NewSet(rest)
	}
	return sets
}

// scrubSet returns what the responses of a route are scrubbed of. A route that
// injects nothing is scrubbed, too: a server may keep what it was sent by one
// route and show it by another.
func (p *policyInForce) scrubSet(r *wire.Route) *scrub.Set {
	if r.Auth != nil && r.Auth.Scrub != nil && !*r.Auth.Scrub {
		return p.scrub[r.Auth.TokenRef]
	}
	return p.scrub[""]
}

// modifyResponse removes what would lead the agent around the proxy, and has
// the response scrubbed.
func modifyResponse(resp *http.Response) error {
	resp.Header.Del("Alt-Svc") // offers HTTP/3, which has no way out
	if len(resp.Trailer) > 0 { // HTTP/1.1 has trailers in chunked bodies only
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
	}
	x := resp.Request.Context().Value(exchangeKey{}).(*exchange)
	if x.scrub.Empty() {
		return nil
	}
	x.scrubHeader(resp.Header)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if rw, ok := resp.Body.(io.ReadWriteCloser); ok {
			resp.Body = upgraded{x.scrub.NewReader(rw, x.scrubbed), rw}
		}
		return nil
	}
	if resp.Request.Method == http.MethodHead || resp.Body == http.NoBody {
		return nil
	}
	plain, err := scrub.Decode(strings.Join(resp.Header["Content-Encoding"], ","), resp.Body)
	if err != nil {
		return err
	}
	if plain != resp.Body {
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
	}
	resp.Body = scrubbedBody{x.scrub.NewReader(plain, func(hits int) {
		x.scrubbed(hits)
		x.scrubHeader(resp.Trailer)
	}), resp.Body}
	return nil
}

// scrubHeader replaces credentials in the values of a header in place, and
// removes fields whose name holds one.
func (x *exchange) scrubHeader(h http.Header) {
	for name, values := range h {
		if x.scrub.Holds(name) {
			delete(h, name)
			x.scrubbed(1)
			continue
		}
		for i, v := range values {
			clean, hits := x.scrub.String(v)
			values[i] = clean
			x.scrubbed(hits)
		}
	}
}

// scrubbed counts replacements, for the audit line.
func (x *exchange) scrubbed(hits int) {
	if hits > 0 {
		x.echoes.Add(int64(hits))
	}
}

// outcome is the decision to record when the exchange has ended.
func (x *exchange) outcome() (policy.Decision, string) {
	d := x.decision
	if x.failure != nil {
		d = *x.failure
	}
	if x.echoes.Load() == 0 {
		return d, ""
	}
	if d.Verdict == policy.Allow {
		d.Verdict = policy.Redact
	}
	return d, "the upstream echoed an injected credential; the placeholder stands in its place"
}

// scrubbedBody reads through the scrubber and closes the upstream's body.
type scrubbedBody struct {
	io.Reader
	io.Closer
}

// upgraded is a connection after a protocol switch: what comes back is scrubbed,
// what goes out is not touched.
type upgraded struct {
	io.Reader
	io.WriteCloser
}
