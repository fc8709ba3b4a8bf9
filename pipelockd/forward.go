package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/bottlesuite/bottle/internal/meter"
	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/wire"
)

// forward sends the request on and its response back, streaming both.
func (s *service) forward(w http.ResponseWriter, r *http.Request, x *exchange) {
	counted := &response{Response: meter.Response{ResponseWriter: w, Interim: removeOurs}}
	upgraded := false
	if r.Header.Get("Upgrade") != "" {
		counted.hijack = func(c net.Conn, rw *bufio.ReadWriter) net.Conn {
			upgraded = true
			// A tunnel may live for days; its line should not wait for its end.
			s.Record(x.entry(http.StatusSwitchingProtocols))
			f := newFrameConn(c, rw.Reader, x)
			f.onClose = func() { s.killed.open.Delete(f) }
			s.killed.open.Store(f, nil)
			return f
		}
	}
	whole := false
	defer func() {
		if !whole {
			s.cut(x)
		}
		if upgraded && x.failure.Load() == nil {
			return
		}
		e := x.entry(counted.Status)
		e.BytesOut = counted.Bytes
		s.Record(e)
	}()
	s.proxy.ServeHTTP(counted, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	whole = true
}

// cut blames the kill switch for a request that did not end by itself, if it is
// thrown, and reports whether it is.
func (s *service) cut(x *exchange) bool {
	denial := s.killedDenial()
	if denial == nil {
		return false
	}
	denial.Rule = x.decision.Rule
	x.fail(*denial)
	return true
}

// newProxy builds the forwarding half. Every request carries its exchange.
func (s *service) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      byTable{},
		FlushInterval:  mitm.FlushInterval,
		BufferPool:     &meter.Buffers{},
		ErrorLog:       s.errorLog,
		ModifyResponse: modifyResponse,
		ErrorHandler:   s.failed,
	}
}

// byTable sends a request through the transport of the table that judged it.
type byTable struct{}

// RoundTrip implements [http.RoundTripper].
func (byTable) RoundTrip(r *http.Request) (*http.Response, error) {
	return exchangeOf(r.Context()).table.transport.RoundTrip(r)
}

// hopTrailers are fields that mean something to a connection or a server's
// front and have no business behind a body.
var hopTrailers = []string{"Authorization", "Connection", "Cookie", "Host", "Te", "Upgrade", "Proxy-Authorization"}

func cleanTrailer(t http.Header) {
	for _, name := range hopTrailers {
		delete(t, name)
	}
	removeOurs(t)
	removeOverrides(t)
}

// rewrite addresses the outgoing request to the destination that was judged and
// leaves everything else as it came.
func rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In.Context())
	in, out := pr.In.URL, pr.Out
	out.URL = &url.URL{
		Scheme: x.scheme, Host: net.JoinHostPort(x.host, x.port),
		Path: in.Path, RawPath: in.RawPath, RawQuery: in.RawQuery, ForceQuery: in.ForceQuery,
	}
	out.Host = x.authority()
	// The server fills in this very map when a streamed body has ended.
	out.Trailer = pr.In.Trailer
	cleanTrailer(out.Trailer)
	out.Header.Del("Sec-Websocket-Extensions") // compressed frames could not be read
}

// modifyResponse removes what would lead the client around the proxy, or speak
// in the bottle's name.
func modifyResponse(resp *http.Response) error {
	resp.Header.Del("Alt-Svc") // offers HTTP/3, which has no way out
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Header.Del("Sec-Websocket-Extensions")
	}
	removeOurs(resp.Header)
	removeOurs(resp.Trailer)
	if len(resp.Trailer) > 0 {
		resp.Header.Del("Content-Length") // HTTP/1.1 has trailers behind chunks only
	}
	return nil
}

// failed answers when an allowed request could not be completed.
func (s *service) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	if !s.cut(x) {
		x.fail(classify(err, x.decision.Rule))
	}
	d := x.outcome()
	for name := range w.Header() { // of an upstream that answered before it failed
		if !strings.EqualFold(name, "Date") {
			w.Header().Del(name)
		}
	}
	wire.NewProblem(d, x.id, x.method, x.shownHost(), x.path).Write(w)
}
