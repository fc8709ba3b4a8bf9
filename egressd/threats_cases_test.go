package main

import (
	"encoding/base64"
	"strings"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

const threatsHead = `# What egressd refuses

Made by ` + "`go test ./egressd -run TestThreats -update`" + `: each row is sent over real
sockets, raw where a client library would mend it, through egressd to a recording
upstream. "The upstream saw" is that recorder's word, and each refusal must have
its audit line, or the test fails.

The route allows GET and POST below /v1/ of api.example and injects a bearer
token there; *.wild.example is open to GET.
`

func threatRoutes(port string) []wire.Route {
	return append(defaultRoutes(port), wire.Route{Host: "*.wild.example:" + port, Matches: []wire.Match{{Methods: []string{"GET"}}}})
}

type threatGroup struct {
	name     string
	attempts []attempt
}

var threatGroups = []threatGroup{
	{"Naming the destination", naming},
	{"Paths and methods", paths},
	{"Reading HTTP/1.1 twice", framing},
	{"Reading HTTP/2 twice", framing2},
	{"What the agent brings", brought},
	{"Writing by git", pushes},
}

const (
	host  = "\r\nHost: {host}\r\nConnection: close\r\n"
	first = "GET /v1/x HTTP/1.1\r\nHost: {host}\r\n\r\n" // another follows
	good  = "GET /v1/x HTTP/1.1" + host + "\r\n"
	evil  = "GET /admin HTTP/1.1" + host + "\r\n"
)

var naming = []attempt{
	{name: "an allowed request", send: good, arrives: 1},
	{name: "CONNECT to another host", connect: "evil.example:443", want: policy.ReasonHostNotAllowed},
	{name: "CONNECT to another port of the host", connect: "api.example:22", want: policy.ReasonHostNotAllowed},
	{name: "CONNECT to 127.0.0.1", connect: "127.0.0.1:{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT to 2130706433", connect: "2130706433:{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT to 0x7f000001", connect: "0x7f000001:{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT to 0177.0.0.1", connect: "0177.0.0.1:{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT to 127.1", connect: "127.1:{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT to [::1]", connect: "[::1]:{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT to [::ffff:127.0.0.1]", connect: "[::ffff:127.0.0.1]:{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT with a trailing dot", connect: "api.example.:{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT with user information", connect: "x@api.example:{port}", anyRefusal: true},
	{name: "CONNECT with a NUL byte", connect: "api.example\x00.evil.example:{port}", anyRefusal: true},
	{name: "CONNECT with an encoded NUL byte", connect: "api.example%00.evil.example:{port}", anyRefusal: true},
	{name: "CONNECT with a tab", connect: "api.example\t:{port}", anyRefusal: true},
	{name: "CONNECT with a full-width dot", connect: "api\uff0eexample:{port}", anyRefusal: true},
	{name: "CONNECT to a look-alike in Cyrillic", connect: "\u0430pi.example:{port}", anyRefusal: true},
	{name: "CONNECT to the look-alike in punycode", connect: "xn--pi-6kc.example:{port}", want: policy.ReasonHostNotAllowed},
	{name: "CONNECT to the name in front of another", connect: "api.example.evil.example:{port}", want: policy.ReasonHostNotAllowed},
	{name: "CONNECT to a port with a leading zero", connect: "api.example:0{port}", want: policy.ReasonBadAuthority},
	{name: "CONNECT to the suffix of *.wild.example itself", connect: "wild.example:{port}", want: policy.ReasonHostNotAllowed},
	{name: "CONNECT to evilwild.example", connect: "evilwild.example:{port}", want: policy.ReasonHostNotAllowed},
	{name: "CONNECT to a name below *.wild.example", connect: "a.b.wild.example:{port}"},
	{name: "TLS for another host", sni: "evil.example", send: good, want: "", anyRefusal: true},
	{name: "TLS for another allowed host", sni: "ws.example", send: good, anyRefusal: true},
	{name: "TLS without a server name", sni: "-", send: good, anyRefusal: true},
	{name: "Host names another host", send: "GET /v1/x HTTP/1.1\r\nHost: ws.example:{port}\r\nConnection: close\r\n\r\n", want: policy.ReasonAuthorityMismatch},
	{name: "Host without the port", send: "GET /v1/x HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n", want: policy.ReasonAuthorityMismatch},
	{name: "Host with another port", send: "GET /v1/x HTTP/1.1\r\nHost: api.example:22\r\nConnection: close\r\n\r\n", want: policy.ReasonAuthorityMismatch},
	{name: "no Host", send: "GET /v1/x HTTP/1.1\r\n\r\n", anyRefusal: true},
	{name: "two Hosts", send: "GET /v1/x HTTP/1.1" + host + "Host: evil.example\r\n\r\n", anyRefusal: true},
	{name: "absolute form in a tunnel, to another host", send: "GET https://ws.example:{port}/ HTTP/1.1" + host + "\r\n", want: policy.ReasonNestedProxy},
	{name: "absolute form in a tunnel, to its own host", send: "GET https://{host}/v1/x HTTP/1.1" + host + "\r\n", want: policy.ReasonNestedProxy},
	{name: "CONNECT in a tunnel", send: "CONNECT {host} HTTP/1.1" + host + "\r\n", want: policy.ReasonNestedProxy},
	{name: "a credentialed host without TLS", connect: "-", send: "GET http://{host}/v1/x HTTP/1.1" + host + "\r\n", want: policy.ReasonPlaintextAuth},
	{name: "absolute form against Host, to the proxy", connect: "-", send: "GET http://evil.example/ HTTP/1.1" + host + "\r\n", want: policy.ReasonHostNotAllowed},
	{name: "a path to the proxy itself", connect: "-", send: good, want: policy.ReasonBadRequest},
	{name: "https in absolute form, to the proxy", connect: "-", send: "GET https://{host}/v1/x HTTP/1.1" + host + "\r\n", want: policy.ReasonBadRequest},
}

// target sends GET with a target of its own.
func target(name, t string, want policy.Reason) attempt {
	return attempt{name: name, send: "GET " + t + " HTTP/1.1" + host + "\r\n", want: want}
}

func method(m string, want policy.Reason) attempt {
	return attempt{name: "`" + m + "`", send: m + " /v1/x HTTP/1.1" + host + "\r\n", want: want}
}

var paths = []attempt{
	target("a path of another prefix", "/admin", policy.ReasonPathNotAllowed),
	target("`/v10`, which /v1/ does not take", "/v10", policy.ReasonPathNotAllowed),
	target("`/V1/x`", "/V1/x", policy.ReasonPathNotAllowed),
	target("`..`", "/v1/../admin", policy.ReasonAmbiguousPath),
	target("`%2e%2e`", "/v1/%2e%2e/admin", policy.ReasonAmbiguousPath),
	target("`.%2E`", "/v1/.%2E/admin", policy.ReasonAmbiguousPath),
	target("`..;`", "/v1/..;/admin", policy.ReasonAmbiguousPath),
	target("`..%3b`", "/v1/..%3bx/admin", policy.ReasonAmbiguousPath),
	target("`..%20`", "/v1/..%20/admin", policy.ReasonAmbiguousPath),
	target("`%252e%252e`", "/v1/%252e%252e/admin", policy.ReasonAmbiguousPath),
	target("`%25%32%65`", "/v1/%25%32%65%25%32%65/admin", policy.ReasonAmbiguousPath),
	target("`\\`", `/v1/..\admin`, policy.ReasonAmbiguousPath),
	target("`%5c`", "/v1/..%5cadmin", policy.ReasonAmbiguousPath),
	target("`%00`", "/v1/x%00/../../admin", policy.ReasonAmbiguousPath),
	target("`%0d%0a`", "/v1/x%0d%0aHost:%20evil.example", policy.ReasonAmbiguousPath),
	target("`//`", "/v1//x", policy.ReasonAmbiguousPath),
	target("`//` in front", "//evil.example/v1/x", policy.ReasonAmbiguousPath),
	target("`%2f`", "/v1/..%2fadmin", policy.ReasonAmbiguousPath),
	target("an overlong dot, `%c0%ae`", "/v1/%c0%ae%c0%ae/admin", policy.ReasonAmbiguousPath),
	target("an overlong slash, `%c0%af`", "/v1/..%c0%afadmin", policy.ReasonAmbiguousPath),
	target("a fragment", "/v1/x#/../../admin", policy.ReasonAmbiguousPath),
	{name: "an escape that ends early", send: "GET /v1/%2 HTTP/1.1" + host + "\r\n", anyRefusal: true},
	{name: "a full-width path", send: "GET /v1/\uff0e\uff0e/admin HTTP/1.1" + host + "\r\n", anyRefusal: true},
	{name: "`OPTIONS *`", send: "OPTIONS * HTTP/1.1" + host + "\r\n", want: policy.ReasonBadRequest},
	method("DELETE", policy.ReasonMethodNotAllowed),
	method("TRACE", policy.ReasonMethodNotAllowed),
	method("PURGE", policy.ReasonMethodNotAllowed),
	method("get", policy.ReasonMethodNotAllowed),
	{name: "X-HTTP-Method-Override", send: "POST /v1/x HTTP/1.1" + host + "X-HTTP-Method-Override: DELETE\r\nX-Method: DELETE\r\nx_http_method: DELETE\r\nContent-Length: 0\r\n\r\n", arrives: 1, never: "DELETE"},
	{name: "X-Original-URL", send: "GET /v1/x HTTP/1.1" + host + "X-Original-URL: /admin\r\nX-Rewrite-Url: /admin\r\n\r\n", arrives: 1, never: "admin"},
}

var framing = []attempt{
	{name: "a forbidden request behind an allowed one", send: first + evil, want: policy.ReasonPathNotAllowed, arrives: 1, never: "admin"},
	{name: "Content-Length and chunked", send: "POST /v1/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil, want: policy.ReasonPathNotAllowed, arrives: 1, never: "admin"},
	{name: "two Content-Lengths that differ", send: "POST /v1/x HTTP/1.1" + host + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + evil, anyRefusal: true, never: "admin"},
	{name: "a Content-Length with a sign", send: "POST /v1/x HTTP/1.1" + host + "Content-Length: +0\r\n\r\n" + evil, anyRefusal: true, never: "admin"},
	{name: "Transfer-Encoding: xchunked", send: "POST /v1/x HTTP/1.1" + host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + evil, anyRefusal: true, never: "admin"},
	{name: "Transfer-Encoding with a space before the colon", send: "POST /v1/x HTTP/1.1" + host + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + evil, anyRefusal: true, never: "admin"},
	{name: "two Transfer-Encodings", send: "POST /v1/x HTTP/1.1" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + evil, anyRefusal: true, never: "admin"},
	{name: "chunked under HTTP/1.0", send: "POST /v1/x HTTP/1.0" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil, arrives: 1, never: "admin"},
	{name: "a chunk of a length that overflows", send: "POST /v1/x HTTP/1.1" + host + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + evil, want: policy.ReasonBadRequest, never: "admin", cutOff: true},
	{name: "a folded header", send: "GET /v1/x HTTP/1.1" + host + "X-A: b\r\n evil: d\r\n\r\n", arrives: 1, never: "Evil"},
	{name: "a NUL byte in a header", send: "GET /v1/x HTTP/1.1" + host + "X-A: b\x00c\r\n\r\n", anyRefusal: true},
	{name: "a header without a name", send: "GET /v1/x HTTP/1.1" + host + ": b\r\n\r\n", anyRefusal: true},
	{name: "HTTP/0.9", send: "GET /v1/x\r\n\r\n", anyRefusal: true},
	{name: "HTTP/2.0 in text", send: "GET /v1/x HTTP/2.0" + host + "\r\n", anyRefusal: true},
	{name: "Connection: Authorization", send: "GET /v1/x HTTP/1.1" + host + "Connection: close, Authorization\r\n\r\n", want: policy.ReasonBadRequest},
	{name: "Connection: Bottle-Relay", send: "GET /v1/x HTTP/1.1" + host + "Connection: Bottle-Relay\r\n\r\n", want: policy.ReasonBadRequest},
	{name: "a field in two spellings", send: "GET /v1/x HTTP/1.1" + host + "X-Op: read\r\nX_Op: write\r\n\r\n", want: policy.ReasonBadRequest},
	{name: "Authorization in the trailers", send: "POST /v1/x HTTP/1.1" + host + "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n1\r\nx\r\n0\r\nAuthorization: Bearer foreign\r\n\r\n", arrives: 1, never: "foreign"},
	{name: "Upgrade: h2c", send: "GET /v1/x HTTP/1.1" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", want: policy.ReasonBadRequest},
	{name: "Upgrade: h2c alone", send: "GET /v1/x HTTP/1.1" + host + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", want: policy.ReasonUpgrade},
	{name: "WebSocket where the route does not say so", send: "GET /v1/x HTTP/1.1" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", want: policy.ReasonUpgrade},
	{name: "two Upgrades", send: "GET /v1/x HTTP/1.1" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", want: policy.ReasonBadRequest},
	{name: "a header of 100 KiB", send: "GET /v1/x HTTP/1.1" + host + "X-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", anyRefusal: true},
	{name: "10,000 headers", send: "GET /v1/x HTTP/1.1" + host + strings.Repeat("X-A: aaaaaaa\r\n", 10000) + "\r\n", anyRefusal: true},
	{name: "half a header", send: "GET /v1/x HTTP/1.1" + host + "X-A", half: true, anyRefusal: true},
}

// get2 is a good HTTP/2 request with fields changed: one that begins with a
// pseudo header's name takes its place, another is added.
func get2(changes ...string) []string {
	fields := []string{":method: GET", ":scheme: https", ":authority: {host}", ":path: /v1/x"}
	for _, change := range changes {
		name, _, _ := strings.Cut(change[1:], ": ")
		replaced := false
		for i, f := range fields {
			if strings.HasPrefix(f, change[:1]+name+": ") && !replaced {
				fields[i], replaced = change, true
			}
		}
		if !replaced {
			fields = append(fields, change)
		}
	}
	return fields
}

var framing2 = []attempt{
	{name: "an allowed request", fields: get2(), arrives: 1},
	{name: ":authority names another host", fields: get2(":authority: ws.example:{port}"), want: policy.ReasonAuthorityMismatch},
	{name: ":authority without the port", fields: get2(":authority: api.example"), want: policy.ReasonAuthorityMismatch},
	{name: ":authority with user information", fields: get2(":authority: x@{host}"), anyRefusal: true},
	{name: "host beside :authority, another one", fields: get2("host: evil.example"), want: policy.ReasonAuthorityMismatch},
	{name: "host in place of :authority, another one", fields: []string{":method: GET", ":scheme: https", ":path: /v1/x", "host: evil.example"}, want: policy.ReasonAuthorityMismatch},
	{name: ":path of another prefix", fields: get2(":path: /admin"), want: policy.ReasonPathNotAllowed},
	{name: ":path with dots", fields: get2(":path: /v1/%2e%2e/admin"), want: policy.ReasonAmbiguousPath},
	{name: ":path in absolute form", fields: get2(":path: https://ws.example:{port}/"), anyRefusal: true},
	{name: ":path `*`", fields: get2(":method: OPTIONS", ":path: *"), want: policy.ReasonBadRequest},
	{name: ":path with a line break", fields: get2(":path: /v1/x HTTP/1.1\r\nHost: evil.example\r\n\r\n"), anyRefusal: true},
	{name: ":path with a space", fields: get2(":path: /v1/x /admin"), anyRefusal: true},
	{name: ":method with a line break", fields: get2(":method: GET /admin HTTP/1.1\r\nX: "), anyRefusal: true},
	{name: "a line break in a field", fields: get2("x-a: b\r\nx-evil: 1"), anyRefusal: true, never: "x-evil"},
	{name: "a field in upper case", fields: get2("X-Evil: 1"), anyRefusal: true},
	{name: "a field of the connection's", fields: get2("connection: close"), anyRefusal: true},
	{name: "transfer-encoding", fields: get2("transfer-encoding: chunked"), anyRefusal: true},
	{name: "a Content-Length that is not the body's", fields: get2(":method: POST", "content-length: 10"), arrives: 1},
	{name: "extended CONNECT", fields: get2(":method: CONNECT", ":protocol: websocket"), anyRefusal: true},
	{name: "CONNECT", fields: []string{":method: CONNECT", ":authority: {host}"}, want: policy.ReasonNestedProxy},
	{name: "a pseudo header twice", fields: append(get2(), ":path: /admin"), anyRefusal: true},
	{name: "an unknown pseudo header", fields: append([]string{":evil: 1"}, get2()...), anyRefusal: true},
	{name: "the agent's own credential", fields: get2("authorization: Bearer foreign"), want: policy.ReasonAgentCredential},
	{name: "the same, folded", fields: get2("x_api_key: foreign"), want: policy.ReasonAgentCredential},
}

func with(name, fields string, want policy.Reason) attempt {
	return attempt{name: name, send: "GET /v1/x HTTP/1.1" + host + fields + "\r\n\r\n", want: want}
}

var brought = []attempt{
	with("a bearer token of its own", "Authorization: Bearer foreign", policy.ReasonAgentCredential),
	with("a password of its own", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("me:foreign")), policy.ReasonAgentCredential),
	with("an API key of its own", "X-Api-Key: foreign", policy.ReasonAgentCredential),
	with("the same, with an underscore", "x_api_key: foreign", policy.ReasonAgentCredential),
	with("two Authorizations", "Authorization: Bearer bottle-placeholder-T\r\nAuthorization: Bearer foreign", policy.ReasonAgentCredential),
	target("an access_token in the query", "/v1/x?access_token=foreign", policy.ReasonAgentCredential),
	target("the same, encoded", "/v1/x?access%5Ftoken=foreign", policy.ReasonAgentCredential),
	{name: "the placeholder in its place", send: "GET /v1/x HTTP/1.1" + host + "Authorization: Bearer bottle-placeholder-T\r\n\r\n", arrives: 1, never: "placeholder"},
	{name: "the placeholder, twice in its place", send: "GET /v1/x HTTP/1.1" + host + "Authorization: Bearer bottle-placeholder-T\r\nAuthorization: bottle-placeholder-T\r\n\r\n", arrives: 1, never: "placeholder"},
	with("the placeholder in another header", "X-Note: bottle-placeholder-T", policy.ReasonPlaceholderMisplaced),
	with("another token's placeholder", "Authorization: Bearer bottle-placeholder-U", policy.ReasonPlaceholderMisplaced),
	target("the placeholder in the query", "/v1/x?q=bottle-placeholder-T", policy.ReasonPlaceholderMisplaced),
	target("the placeholder in the path", "/v1/bottle-placeholder-T", policy.ReasonPlaceholderMisplaced),
	{name: "the placeholder in a body", send: "POST /v1/x HTTP/1.1" + host + "Content-Length: 20\r\n\r\nbottle-placeholder-T", want: policy.ReasonPlaceholderMisplaced},
	{name: "the placeholder for another host", connect: "ws.example:{port}", sni: "ws.example", send: "GET / HTTP/1.1\r\nHost: ws.example:{port}\r\nConnection: close\r\nAuthorization: Bearer bottle-placeholder-T\r\n\r\n", want: policy.ReasonPlaceholderMisplaced},
	{name: "a cookie to a credentialed host", send: "GET /v1/x HTTP/1.1" + host + "Cookie: session=foreign\r\n\r\n", arrives: 1, never: "foreign"},
	{name: "a token of its own to a host without a credential", connect: "ws.example:{port}", sni: "ws.example", send: "GET / HTTP/1.1\r\nHost: ws.example:{port}\r\nConnection: close\r\nAuthorization: Bearer foreign\r\n\r\n", arrives: 1, never: "foreign"},
	{name: "a relay header of its own", send: "GET /v1/x HTTP/1.1" + host + "Bottle-Relay: v1 id=foreign\r\n\r\n", arrives: 1, never: "foreign"},
	{name: "a body over the route's limit", connect: "ws.example:{port}", sni: "ws.example", send: "POST / HTTP/1.1\r\nHost: ws.example:{port}\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n", want: policy.ReasonBodyTooLarge},
}

func push(name, request string) attempt {
	return attempt{name: name, send: request, want: policy.ReasonGitPush}
}

var pushes = []attempt{
	push("the advertisement", "GET /v1/r.git/info/refs?service=git-receive-pack HTTP/1.1"+host+"\r\n"),
	push("the advertisement, spelled out", "GET /v1/r.git/info/refs?a=b&service=git%2Dreceive%2dpack HTTP/1.1"+host+"\r\n"),
	push("the advertisement, encoded path", "GET /v1/r.git/info/%72efs?service=Git-Receive-Pack HTTP/1.1"+host+"\r\n"),
	push("the pack", "POST /v1/r.git/git-receive-pack HTTP/1.1"+host+"Content-Length: 0\r\n\r\n"),
	push("the pack, encoded", "POST /v1/r.git/git%2dreceive-pack HTTP/1.1"+host+"Content-Length: 0\r\n\r\n"),
	push("the pack, on a path without a rule", "POST /r.git/git-receive-pack HTTP/1.1"+host+"Content-Length: 0\r\n\r\n"),
	push("an LFS upload", "POST /v1/r.git/info/lfs/objects/batch HTTP/1.1"+host+"Content-Length: 34\r\n\r\n"+`{"operation":"upload","objects":[]}`[:34]),
	push("an LFS lock", "POST /v1/r.git/info/lfs/locks HTTP/1.1"+host+"Content-Length: 2\r\n\r\n{}"),
	push("an LFS object", "PUT /v1/r.git/info/lfs/objects/abc HTTP/1.1"+host+"Content-Length: 1\r\n\r\nx"),
	{name: "the advertisement of a fetch", send: "GET /v1/r.git/info/refs?service=git-upload-pack HTTP/1.1" + host + "\r\n", arrives: 1},
}
