package verify

import "github.com/bottlesuite/bottle/internal/wire"

// Ends of requests in a tunnel to the allowed host {a}.
const (
	hostLine = "\r\nHost: {a}\r\nConnection: close\r\n"
	done     = "\r\n"
)

// namingAttempts name another destination than the bottle allows, or one in two
// ways.
func namingAttempts() []*attempt {
	return []*attempt{
		connectTo("unlisted-host", "a tunnel to a host that no rule names", "{t}.probe.example:443"),
		connectTo("unlisted-host-test", "the same below .test", "{t}.probe.test:443"),
		connectTo("unlisted-host-invalid", "the same below .invalid", "{t}.probe.invalid:443"),
		plainly("unlisted-plain", "plain HTTP to a host that no rule names", "GET http://{t}.example/ HTTP/1.1\r\nHost: {t}.example\r\nConnection: close\r\n\r\n"),
		connectTo("other-port", "an allowed host on another port", "{h}:4444"),
		connectTo("plain-port", "an allowed host on port 80", "{h}:80"),
		connectTo("name-in-front", "an allowed name in front of another", "{h}.{t}.example:443"),
		connectTo("name-behind", "another name glued to an allowed one", "{t}-{h}.example:443"),
		connectTo("trailing-dot", "an allowed name with a dot at its end", "{h}.:{p}"),
		connectTo("user-information", "an allowed host behind user information", "{h}@{t}.example:443"),
		connectTo("nul-byte", "a NUL byte between two names", "{h}\x00.{t}.example:443"),
		connectTo("encoded-nul", "an encoded NUL byte between two names", "{h}%00.{t}.example:443"),
		connectTo("control-byte", "a tab in the name", "{h}\t.{t}.example:443"),
		connectTo("full-width-dot", "a full-width dot", "{t}\uff0eexample:443"),
		connectTo("look-alike", "a look-alike in punycode", "xn--{t}-6kc.example:443"),
		connectTo("leading-zero", "a port with a leading zero", "{h}:0{p}"),
		connectTo("no-port", "a tunnel without a port", "{h}"),
		plainly("absolute-against-host", "an absolute target against the Host", "GET http://{t}.example/ HTTP/1.1\r\nHost: {a}\r\nConnection: close\r\n\r\n"),
		plainly("https-in-plain", "https asked for without a tunnel", "GET https://{h}/{t} HTTP/1.1\r\nHost: {a}\r\nConnection: close\r\n\r\n"),
		serverName("server-name", "a TLS name that is not the tunnel's", "{t}.example", false, false),
		serverName("no-server-name", "no TLS name", "", false, false),
		serverName("address-as-server-name", "an address in place of the TLS name", "127.0.0.1", false, false),
		serverName("slow-server-name", "another TLS name, a byte a segment", "{t}.example", true, false),
		serverName("long-hello", "another TLS name in a hello of several segments", "{t}.example", false, true),
		inside("other-host", "a Host that is not the tunnel's", "GET /{t} HTTP/1.1\r\nHost: {t}.example\r\nConnection: close\r\n\r\n"),
		inside("host-other-port", "a Host with another port", "GET /{t} HTTP/1.1\r\nHost: {h}:4444\r\nConnection: close\r\n\r\n"),
		inside("host-dot", "a Host with a dot at its end", "GET /{t} HTTP/1.1\r\nHost: {h}.\r\nConnection: close\r\n\r\n"),
		inside("two-hosts", "two Hosts", "GET /{t} HTTP/1.1"+hostLine+"Host: {t}.example\r\n\r\n"),
		inside("no-host", "no Host", "GET /{t} HTTP/1.1\r\nConnection: close\r\n\r\n"),
		inside("absolute-in-tunnel", "an absolute target inside a tunnel", "GET https://{t}.example/ HTTP/1.1"+hostLine+done),
		inside("connect-in-tunnel", "a tunnel inside a tunnel", "CONNECT {t}.example:443 HTTP/1.1\r\nHost: {t}.example:443\r\n\r\n"),
		inside2("authority-2", "HTTP/2 with another authority", ":method: GET", ":scheme: https", ":authority: {t}.example", ":path: /{t}"),
		inside2("host-beside-authority-2", "HTTP/2 with another host beside the authority", ":method: GET", ":scheme: https", ":authority: {a}", ":path: /{t}", "host: {t}.example"),
		inside2("connect-2", "a tunnel inside a tunnel by HTTP/2", ":method: CONNECT", ":authority: {t}.example:443"),
	}
}

// serverName is an attempt with a TLS server name of its own.
func serverName(id, words, name string, slow, long bool) *attempt {
	return web(id, words, func(v *view) (*wire.ProbeWeb, string) {
		w, why := v.inTunnel("GET /{t} HTTP/1.1" + hostLine + done)
		if why != "" {
			return nil, why
		}
		w.Name, _ = v.fill(name)
		w.Slow, w.Long = slow, long
		return w, ""
	})
}

// inside2 is a request of HTTP/2 in a tunnel to an allowed host.
func inside2(id, words string, fields ...string) *attempt {
	return web(id, words, func(v *view) (*wire.ProbeWeb, string) {
		w, why := v.inTunnel("")
		if why != "" {
			return nil, why
		}
		for _, f := range fields {
			text, _ := v.fill(f)
			w.Fields = append(w.Fields, text)
		}
		w.Send = nil
		return w, ""
	})
}
