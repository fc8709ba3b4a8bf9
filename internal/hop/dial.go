package hop

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// connectTimeout bounds a proxy's answer to CONNECT, as in net/http.
const connectTimeout = time.Minute

// dial opens a connection, through the proxy if there is one.
func (c *Client) dial(r *http.Request, address string) (_ *conn, err error) {
	ctx := r.Context()
	proxy, target := (*url.URL)(nil), address
	if c.rest.Proxy != nil {
		if proxy, err = c.rest.Proxy(r); err != nil {
			return nil, err
		}
	}
	if proxy != nil {
		if proxy.Scheme != "http" || proxy.Port() == "" || proxy.User != nil {
			return nil, fmt.Errorf("the proxy must be http://host:port, not %s", proxy.Redacted())
		}
		target = proxy.Host
	}
	raw, err := c.rest.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			_ = raw.Close()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
		}
	}()
	if proxy != nil {
		if err := c.connect(ctx, raw, proxy, address); err != nil {
			return nil, err
		}
	}
	return c.handshake(ctx, raw, address)
}

// handshake makes the connection a TLS one.
func (c *Client) handshake(ctx context.Context, raw net.Conn, address string) (*conn, error) {
	config := c.rest.TLSClientConfig.Clone()
	if config.ServerName == "" {
		config.ServerName = hostname(address)
	}
	if c.rest.TLSHandshakeTimeout > 0 {
		limited, cancel := context.WithTimeout(ctx, c.rest.TLSHandshakeTimeout)
		defer cancel()
		ctx = limited
	}
	cn := &conn{address: address, raw: raw, tls: tls.Client(raw, config)}
	if err := cn.tls.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := cn.tls.ConnectionState()
	cn.state = &state
	cn.in = bufio.NewReader(cn)
	return cn, nil
}

// connect asks the proxy for a tunnel.
func (c *Client) connect(ctx context.Context, raw net.Conn, proxy *url.URL, address string) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if err := raw.SetDeadline(time.Now().Add(connectTimeout)); err != nil {
		return err
	}
	if err := request.Write(raw); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(raw, c.rest.MaxResponseHeaderBytes))
	resp, err := http.ReadResponse(in, request)
	if err != nil {
		return fmt.Errorf("the proxy did not answer CONNECT: %w", noAnswer(err))
	}
	if f := c.rest.OnProxyConnectResponse; f != nil {
		if err := f(ctx, proxy, request, resp); err != nil {
			return err
		}
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New("the proxy refused the tunnel: " + resp.Status)
	}
	if in.Buffered() > 0 {
		return errors.New("the proxy sent bytes before the tunnel's first")
	}
	return raw.SetDeadline(time.Time{})
}
