// Package hop sends requests over one HTTP/1.1 hop in the goroutine that asks.
//
// net/http's Transport reads and writes each connection in two goroutines of
// their own. That serves every case and costs four hand-overs a request; on a
// machine where waking a thread is dear they are most of what a small request
// costs. A [Client] writes the request and reads the response where it was
// called, one write and one read for a small exchange. Writing and parsing are
// net/http's own (Request.Write, ReadResponse): there is no second reading of
// HTTP here.
//
// It takes what is simple and frequent: https, no body or a short one of known
// length. Everything else (uploads, upgrades, Expect, trailers) goes to the
// Transport from which the client was made.
//
// A connection is used again only when its last response was read to the end
// and nothing stands behind it, neither in a buffer of ours, nor decrypted, nor
// on the socket: a response that nobody asked for closes it. A request is
// repeated only as net/http would: on a connection that had been used before
// and gave no byte of a response, and when repeating changes nothing.
package hop

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
)

// maxBody is the longest body that is sent from here. Written at once with its
// header it fits the buffers of two sockets, so writing does not wait for a
// server that answers before it reads.
const maxBody = 16 << 10

// Client is an [http.RoundTripper]. It is safe for concurrent use.
type Client struct {
	// rest takes what the client does not; it lends its dialler, proxy, TLS
	// configuration, limits and timeouts.
	rest *http.Transport
	pool pool
}

// New makes a client that behaves as t does, and leaves to t what it does not
// take. t must speak HTTP/1.1 only, and must not be used any more: where it says
// nothing, net/http's defaults are filled in.
func New(t *http.Transport) *Client {
	if t.DialContext == nil {
		t.DialContext = new(net.Dialer).DialContext
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = new(tls.Config)
	}
	if t.MaxResponseHeaderBytes <= 0 {
		t.MaxResponseHeaderBytes = 10 << 20
	}
	perHost := cmp.Or(t.MaxIdleConnsPerHost, http.DefaultMaxIdleConnsPerHost)
	return &Client{rest: t, pool: pool{perHost: perHost, all: t.MaxIdleConns, timeout: t.IdleConnTimeout}}
}

// CloseIdleConnections closes what is not in use; what is will be closed after.
func (c *Client) CloseIdleConnections() {
	c.pool.close()
	c.rest.CloseIdleConnections()
}

// takes reports whether the client sends a request by itself.
func takes(r *http.Request) bool {
	if r.URL == nil || r.URL.Scheme != "https" || r.URL.User != nil || r.Close || r.Method == http.MethodConnect {
		return false
	}
	if len(r.Trailer) > 0 || len(r.TransferEncoding) > 0 || len(r.Header["Upgrade"]) > 0 || len(r.Header["Expect"]) > 0 {
		return false
	}
	for name, values := range r.Header { // the Transport says what is wrong with it
		if !validField(name, values) {
			return false
		}
	}
	return r.Body == nil || r.Body == http.NoBody || r.ContentLength > 0 && r.ContentLength <= maxBody
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// RoundTrip implements [http.RoundTripper].
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	if !takes(r) {
		return c.rest.RoundTrip(r)
	}
	out := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(out)
	out.Reset()
	if err := write(out, r); err != nil {
		return nil, err
	}
	address := authority(r)
	used := c.pool.get(address)
	if used != nil {
		resp, untouched, err := c.exchange(used, r, out.Bytes())
		if err == nil || !untouched || r.Context().Err() != nil {
			return resp, err
		}
	}
	fresh, err := c.dial(r, address)
	if err != nil {
		return nil, err
	}
	resp, _, err := c.exchange(fresh, r, out.Bytes())
	return resp, err
}

func authority(r *http.Request) string {
	if r.URL.Port() != "" {
		return r.URL.Host
	}
	return net.JoinHostPort(r.URL.Hostname(), "443")
}

// write serialises a request with its body, which it closes. Nothing has been
// sent when reading the body fails.
func write(out *bytes.Buffer, r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Write(out)
	}
	defer r.Body.Close()
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return err
	}
	whole := *r
	whole.Body = io.NopCloser(bytes.NewReader(body))
	return whole.Write(out)
}

// replayable reports whether a request may be sent again when it is not known
// whether it arrived.
func replayable(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, key := r.Header["Idempotency-Key"]
	_, older := r.Header["X-Idempotency-Key"]
	return key || older
}

// exchange sends a request and reads the head of its response. With an error it
// says whether the request may be sent again on another connection.
func (c *Client) exchange(cn *conn, r *http.Request, request []byte) (resp *http.Response, untouched bool, err error) {
	ctx := r.Context()
	stop := context.AfterFunc(ctx, cn.abort)
	defer func() {
		if err != nil {
			stop()
			cn.abort()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
		}
	}()
	if n, err := cn.tls.Write(request); err != nil {
		return nil, n == 0 || replayable(r), err
	}
	cn.limit(c.rest.MaxResponseHeaderBytes)
	if _, err := cn.in.Peek(1); err != nil {
		return nil, replayable(r), noAnswer(err)
	}
	if resp, err = readFinal(cn, r); err != nil {
		return nil, false, err
	}
	cn.limit(0)
	resp.TLS = cn.state
	b := &body{ReadCloser: resp.Body, client: c, conn: cn, stop: stop, reuse: !resp.Close}
	if resp.Body == http.NoBody {
		b.finish(b.reuse)
	} else {
		resp.Body = b
	}
	return resp, false, nil
}

var errClosed = errors.New("the server closed the connection before it answered")

func noAnswer(err error) error {
	if err == io.EOF {
		return errClosed
	}
	return err
}

// readFinal reads responses until one is not preliminary. All their headers
// together are bounded.
func readFinal(cn *conn, r *http.Request) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(r.Context())
	for {
		resp, err := http.ReadResponse(cn.in, r)
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("the server switched protocols without being asked to")
		case resp.StatusCode >= 200 || resp.StatusCode < 100:
			return resp, nil
		case resp.ContentLength > 0 || len(resp.TransferEncoding) > 0:
			return nil, errors.New("a preliminary response has a body")
		case trace != nil && trace.Got1xxResponse != nil:
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, err
			}
		}
	}
}

// body gives the connection back when it has been read to its end.
type body struct {
	io.ReadCloser
	client *Client
	conn   *conn
	stop   func() bool
	reuse  bool
	once   sync.Once
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.finish(err == io.EOF && b.reuse)
	}
	return n, err
}

// Close implements [io.Closer]. It ends the connection of a body that was not
// read to its end, instead of reading on.
func (b *body) Close() error {
	b.finish(false)
	return nil
}

// finish disposes of the connection, once.
func (b *body) finish(reuse bool) {
	b.once.Do(func() {
		if b.stop() && reuse && b.conn.quiet() {
			b.client.pool.put(b.conn)
			return
		}
		b.conn.abort()
	})
}

// hostname is the host without its port, for TLS.
func hostname(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return strings.TrimSuffix(host, ".")
}
