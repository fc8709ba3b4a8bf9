package verify

import "github.com/bottlesuite/bottle/internal/wire"

// readingAttempts are requests of which two programs may read two things.
func readingAttempts() []*attempt {
	list := []*attempt{
		inside("options-star", "`OPTIONS *`", "OPTIONS * HTTP/1.1"+hostLine+done),
		inside("trace", "`TRACE`", "TRACE /{t} HTTP/1.1"+hostLine+done),
		inside("unknown-method", "a method that nobody knows", "FROBNICATE /{t} HTTP/1.1"+hostLine+done),
		inside("method-case", "a method in lower case", "get /{t} HTTP/1.1"+hostLine+done),
		inside("two-lengths", "two lengths", "POST /{t} HTTP/1.1"+hostLine+"Content-Length: 0\r\nContent-Length: 44\r\n\r\nGET /{t} HTTP/1.1\r\nHost: {t}.example\r\n\r\n"),
		inside("signed-length", "a length with a sign", "POST /{t} HTTP/1.1"+hostLine+"Content-Length: +0\r\n\r\nGET /{t} HTTP/1.1\r\nHost: {t}.example\r\n\r\n"),
		inside("odd-encoding", "`Transfer-Encoding: xchunked`", "POST /{t} HTTP/1.1"+hostLine+"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
		inside("spaced-encoding", "`Transfer-Encoding` with a space before the colon", "POST /{t} HTTP/1.1"+hostLine+"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
		inside("two-encodings", "two transfer encodings", "POST /{t} HTTP/1.1"+hostLine+"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
		inside("nul-in-header", "a NUL byte in a field", "GET /{t} HTTP/1.1"+hostLine+"X-A: b\x00c\r\n\r\n"),
		inside("nameless-header", "a field without a name", "GET /{t} HTTP/1.1"+hostLine+": b\r\n\r\n"),
		inside("http-09", "HTTP/0.9", "GET /{t}\r\n\r\n"),
		inside("http-2-in-text", "HTTP/2.0 as text", "GET /{t} HTTP/2.0"+hostLine+done),
		inside("connection-names-auth", "`Connection:` that names Authorization", "GET /{t} HTTP/1.1\r\nHost: {a}\r\nConnection: close, Authorization\r\n\r\n"),
		inside("connection-names-relay", "`Connection:` that names the relay's field", "GET /{t} HTTP/1.1\r\nHost: {a}\r\nConnection: close, Bottle-Relay\r\n\r\n"),
		inside("two-spellings", "one field in two spellings", "GET /{t} HTTP/1.1"+hostLine+"X-Op: read\r\nX_Op: write\r\n\r\n"),
		inside("h2c", "an upgrade to h2c", "GET /{t} HTTP/1.1\r\nHost: {a}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
		inside("huge-header", "a header of 128 KiB", "GET /{t} HTTP/1.1"+hostLine+"X-A: "+filler+"\r\n\r\n"),
		inside2("path-2", "HTTP/2 with dots in the path", ":method: GET", ":scheme: https", ":authority: {a}", ":path: /{t}/../admin"),
		inside2("absolute-2", "HTTP/2 with an absolute path", ":method: GET", ":scheme: https", ":authority: {a}", ":path: https://{t}.example/"),
		inside2("star-2", "HTTP/2 with the path `*`", ":method: GET", ":scheme: https", ":authority: {a}", ":path: *"),
		noWebSocket(),
		outsidePath("other-path", "a path that no rule takes", "GET /{t} HTTP/1.1"+hostLine+done),
		outsidePath("two-readings", "a length and chunks, with a request behind them", "POST /{t} HTTP/1.1\r\nHost: {a}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /{t} HTTP/1.1"+hostLine+done),
		outsidePath("pipelined", "a second request behind a refused one", "GET /{t} HTTP/1.1\r\nHost: {a}\r\n\r\nGET /{t}/second HTTP/1.1"+hostLine+done),
		outsidePath("override", "a method in a field of its own", "POST /{t} HTTP/1.1"+hostLine+"X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n"),
	}
	for _, p := range [][3]string{
		{"dots", "`..`", "/{t}/../admin"}, {"encoded-dots", "`%2e%2e`", "/{t}/%2e%2e/admin"}, {"dots-semicolon", "`..;`", "/{t}/..;/admin"},
		{"double-encoded", "`%252e%252e`", "/{t}/%252e%252e/admin"}, {"backslash", "a backslash", `/{t}/..\admin`}, {"encoded-backslash", "`%5c`", "/{t}/..%5cadmin"},
		{"encoded-nul-path", "`%00`", "/{t}%00/../admin"}, {"encoded-line", "`%0d%0a`", "/{t}%0d%0aHost:%20x.example"}, {"two-slashes", "`//`", "/{t}//x"},
		{"overlong", "an overlong dot", "/{t}/%c0%ae%c0%ae/admin"}, {"fragment", "a fragment", "/{t}#/../../admin"},
	} {
		list = append(list, inside("path-"+p[0], p[1]+" in the path", "GET "+p[2]+" HTTP/1.1"+hostLine+done))
	}
	for _, a := range list {
		onlyRoutes(a)
	}
	return list
}

// filler is what a header is filled with.
var filler = func() string {
	b := make([]byte, 128<<10)
	for i := range b {
		b[i] = 'a'
	}
	return string(b)
}()

// outsidePath says something to a host of which some path is not allowed.
func outsidePath(id, words, send string) *attempt {
	return web(id, words, func(v *view) (*wire.ProbeWeb, string) {
		for _, p := range v.allowedPlaces() {
			refused := true
			for _, method := range []string{"GET", "POST"} {
				refused = refused && v.routes.Match(method, p.host, p.port, "/"+v.token, nothing{}).Reason != ""
			}
			if refused {
				return v.tunnelTo(p, send), ""
			}
		}
		return nil, "every route allows every path"
	})
}

// noWebSocket asks for an upgrade where no route allows it.
func noWebSocket() *attempt {
	return web("websocket", "a WebSocket where the route does not allow it", func(v *view) (*wire.ProbeWeb, string) {
		allowed := map[string]bool{}
		for _, r := range v.egress.Routes {
			allowed[placeOf(r.Host).tunnel()] = allowed[placeOf(r.Host).tunnel()] || r.WebSocket
		}
		for _, p := range v.allowedPlaces() {
			if !allowed[p.tunnel()] {
				return v.tunnelTo(p, "GET /{t} HTTP/1.1\r\nHost: {a}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), ""
			}
		}
		return nil, "every route allows WebSockets"
	})
}

// nothing is a header without fields.
type nothing struct{}

// Values implements [route.Headers].
func (nothing) Values(string) []string { return nil }
