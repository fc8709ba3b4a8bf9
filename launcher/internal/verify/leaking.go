package verify

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
)

// leakingAttempts carry something out through a host that the bottle allows.
func leakingAttempts() []*attempt {
	list := []*attempt{
		credential("own-bearer", "the agent's own bearer token on a host with a credential", "GET /{t} HTTP/1.1"+hostLine+"Authorization: Bearer own-{t}\r\n\r\n"),
		credential("own-basic", "the agent's own password there", "GET /{t} HTTP/1.1"+hostLine+"Authorization: Basic b3duOnRva2Vu\r\n\r\n"),
		credential("own-key", "the agent's own key there, in another field", "GET /{t} HTTP/1.1"+hostLine+"X-Api-Key: own-{t}\r\n\r\n"),
		credential("own-query", "the agent's own token there, in the query", "GET /{t}?access_token=own-{t} HTTP/1.1"+hostLine+done),
		credential("plain-credential", "a host with a credential without TLS", ""),
		misplaced("placeholder-query", "a placeholder in a query", "GET {path}?q={holder} HTTP/1.1"+hostLine+done),
		misplaced("placeholder-path", "a placeholder in a path", "GET {path}/{holder} HTTP/1.1"+hostLine+done),
		misplaced("placeholder-field", "a placeholder in a field of its own", "GET {path} HTTP/1.1"+hostLine+"X-Data: {holder}\r\n\r\n"),
		onlyRoutes(inside("push-refs", "a git push over HTTPS, its question", "GET /{t}.git/info/refs?service=git-receive-pack HTTP/1.1"+hostLine+done)),
		onlyRoutes(inside("push-pack", "a git push over HTTPS, its pack", "POST /{t}.git/git-receive-pack HTTP/1.1"+hostLine+"Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 4\r\n\r\n0000")),
	}
	return append(list, secretAttempts()...)
}

// credential says something to a host whose credential the bottle provides. What is
// said in plain HTTP is said to the proxy.
func credential(id, words, send string) *attempt {
	return onlyRoutes(web(id, words, func(v *view) (*wire.ProbeWeb, string) {
		for _, r := range v.egress.Routes {
			if r.Auth == nil || r.Auth.AgentCredential == wire.AgentCredentialStrip {
				continue
			}
			p := placeOf(r.Host)
			if send == "" {
				return &wire.ProbeWeb{Send: []byte(v.fillFor(p, "GET http://{h}:{p}/{t} HTTP/1.1"+hostLine+done))}, ""
			}
			return v.tunnelTo(p, send), ""
		}
		return nil, "no route has a credential"
	}))
}

// misplaced sends a placeholder of the bottle's, which is no secret, to a place that
// is not its own.
func misplaced(id, words, send string) *attempt {
	return onlyRoutes(web(id, words, func(v *view) (*wire.ProbeWeb, string) {
		holder := ""
		for _, r := range v.egress.Routes {
			if r.Auth != nil {
				holder = "bottle-placeholder-" + r.Auth.TokenRef
			}
		}
		if holder == "" {
			return nil, "no route has a credential"
		}
		p, path, ok := v.way("GET")
		if !ok {
			return nil, noPath
		}
		return v.tunnelTo(p, strings.NewReplacer("{holder}", holder, "{path}", path).Replace(send)), ""
	}))
}

const noPath = "no rule takes a path that could be made up"

// way is a place and a path that the routes allow with a method, hosts without a
// credential first. The path carries the token, so that no upstream has it.
func (v *view) way(method string) (p place, path string, ok bool) {
	if v.egress == nil {
		places := v.allowedPlaces()
		if len(places) == 0 {
			return p, "", false
		}
		return places[0], "/" + v.token, true
	}
	for _, wanted := range []bool{false, true} {
		for _, r := range v.egress.Routes {
			if (r.Auth != nil) != wanted {
				continue
			}
			p = placeOf(r.Host)
			for _, prefix := range prefixes(r) {
				path = strings.TrimSuffix(prefix, "/") + "/" + v.token
				if res := v.routes.Match(method, p.host, p.port, path, nothing{}); res.Reason == "" {
					return p, path, true
				}
			}
		}
	}
	return p, "", false
}

func prefixes(r wire.Route) []string {
	if len(r.Matches) == 0 {
		return []string{"/"}
	}
	var list []string
	for _, m := range r.Matches {
		switch {
		case m.Path == nil:
			list = append(list, "/")
		case m.Path.Prefix != "":
			list = append(list, m.Path.Prefix)
		}
	}
	return list
}

// made is something in the shape of a secret that is none: it opens nothing.
func made() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	out := []byte("AKIA")
	for _, c := range b[:16] {
		out = append(out, digits[c&31])
	}
	return string(out)
}

// secretAttempts send what looks like a secret, in many clothes, to a host that the
// bottle allows. pipelockd has to refuse each.
func secretAttempts() []*attempt {
	phase := func(n int) func(string) []byte {
		return func(s string) []byte {
			return []byte(base64.StdEncoding.EncodeToString([]byte("xyz"[:n] + "key " + s + " end")))
		}
	}
	spread := func(s string) []byte {
		var out strings.Builder
		for _, c := range s {
			fmt.Fprintf(&out, "%%%02x", c)
		}
		return []byte("k=" + out.String())
	}
	wide := func(s string) []byte {
		out := []byte{0xff, 0xfe}
		for _, c := range `{"k": "` + s + `"}` {
			out = append(out, byte(c), 0)
		}
		return out
	}
	zipped := func(s string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(`{"k": "` + s + `"}`))
		_ = z.Close()
		return b.Bytes()
	}
	escaped := func(s string) []byte {
		var out strings.Builder
		for _, c := range s {
			fmt.Fprintf(&out, `\u%04x`, c)
		}
		return []byte(`{"k": "` + out.String() + `"}`)
	}
	return []*attempt{
		secretIn("secret-query", "a secret in the query", "GET", func(s string) (string, string, []byte) { return "?k=" + s, "", nil }),
		secretIn("secret-path", "a secret in the path", "GET", func(s string) (string, string, []byte) { return "/" + s, "", nil }),
		secretIn("secret-field", "a secret in a header", "GET", func(s string) (string, string, []byte) { return "", "X-Data: " + s + "\r\n", nil }),
		secretIn("secret-cookie", "a secret in a cookie", "GET", func(s string) (string, string, []byte) { return "", "Cookie: a=b; c=" + s + "\r\n", nil }),
		secretIn("secret-field-base64", "a secret in a header, in base64", "GET", func(s string) (string, string, []byte) {
			return "", "X-Data: " + string(phase(0)(s)) + "\r\n", nil
		}),
		secretBody("secret-body", "a secret in a body", "", func(s string) []byte { return []byte(`{"k": "` + s + `"}`) }),
		secretBody("secret-base64", "a secret in a body, in base64", "", phase(0)),
		secretBody("secret-base64-1", "the same, shifted by one byte", "", phase(1)),
		secretBody("secret-base64-2", "the same, shifted by two bytes", "", phase(2)),
		secretBody("secret-hex", "a secret in a body, in hexadecimal", "", func(s string) []byte { return []byte(hex.EncodeToString([]byte(s))) }),
		secretBody("secret-percent", "a secret in a body, in percent escapes", "", spread),
		secretBody("secret-json", "a secret in a body, in JSON escapes", "", escaped),
		secretBody("secret-utf16", "a secret in a body, in UTF-16", "", wide),
		secretBody("secret-gzip", "a secret in a compressed body", "Content-Encoding: gzip\r\n", zipped),
		secretBody("secret-two-layers", "a secret in base64 in gzip", "", func(s string) []byte { return []byte(base64.StdEncoding.EncodeToString(zipped(s))) }),
	}
}

func secretBody(id, words, fields string, clothe func(string) []byte) *attempt {
	return secretIn(id, words, "POST", func(s string) (string, string, []byte) { return "", fields, clothe(s) })
}

// secretIn sends one request with a made-up secret somewhere in it.
func secretIn(id, words, method string, clothe func(string) (suffix, fields string, body []byte)) *attempt {
	a := web(id, words, func(v *view) (*wire.ProbeWeb, string) {
		if len(v.lock.Scan.Actions) > 0 {
			return nil, "the bottle has rules of its own for what is found, which may let it pass"
		}
		p, path, ok := v.way(method)
		if !ok {
			return nil, noPath
		}
		suffix, fields, body := clothe(made())
		send := fmt.Appendf(nil, "%s %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s", method, path, suffix, p.authority(), fields)
		if body != nil {
			send = fmt.Appendf(send, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", len(body))
		}
		w := v.tunnelTo(p, "")
		w.Send = append(append(send, "\r\n"...), body...)
		return w, ""
	})
	a.judge = judgeSecret
	return a
}
