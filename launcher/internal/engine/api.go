package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// api is an engine's interface. A local engine's socket is dialled; every other is
// reached through the client's own `system dial-stdio`, so that contexts, ssh and
// TLS are the client's affair.
type api struct {
	http *http.Client
	// agreed is the path's first part.
	agreed agreement
}

// statusError is the engine's refusal of a request.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

// missing reports whether the engine says that a thing is not there.
func missing(err error) bool {
	var s *statusError
	return errors.As(err, &s) && s.status == http.StatusNotFound
}

func (e *Engine) newAPI(getenv func(string) string) *api {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return e.dialStdio(ctx) }
	if socket := localSocket(getenv); socket != "" {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	return &api{http: &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}}}
}

// localSocket is the socket of the engine that an environment leads to, "" when it
// is not plainly one on this machine.
func localSocket(getenv func(string) string) string {
	if host := getenv("DOCKER_HOST"); host != "" {
		path, ok := strings.CutPrefix(host, "unix://")
		if !ok {
			return ""
		}
		return path
	}
	context := getenv("DOCKER_CONTEXT")
	if context == "" {
		dir := getenv("DOCKER_CONFIG")
		if dir == "" {
			dir = filepath.Join(getenv("HOME"), ".docker")
		}
		var config struct{ CurrentContext string }
		data, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err == nil {
			err = json.Unmarshal(data, &config)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "" // the client says what is wrong with it
		}
		context = config.CurrentContext
	}
	if context != "" && context != "default" {
		return ""
	}
	return "/var/run/docker.sock"
}

// call sends a request and reads the answer into out, unless that is nil.
func (e *Engine) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	res, err := e.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out != nil {
		err = json.NewDecoder(res.Body).Decode(out)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("the engine's answer to %s %s cannot be read: %w", method, path, err)
	}
	return nil
}

// send sends a request and returns the answer that is no refusal.
func (e *Engine) send(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	if e.path == "" {
		return nil, errNoClient
	}
	version, err := e.api.negotiate(ctx)
	if err != nil {
		return nil, err
	}
	return e.api.do(ctx, method, "/v"+version+path, query, body)
}

func (a *api) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("cannot ask the engine for %s: %w", path, err)
		}
		payload = bytes.NewReader(data)
	}
	target := url.URL{Scheme: "http", Host: "docker", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), payload)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the engine for %s: %w", path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := a.http.Do(req)
	if ctx.Err() != nil && err != nil {
		return nil, context.Cause(ctx)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var said complaint
	if errors.As(err, &said) { // the transport words it by when it came
		err = said
	}
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 400 {
		return res, nil
	}
	defer res.Body.Close()
	var refusal struct{ Message string }
	data, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if json.Unmarshal(data, &refusal) != nil || refusal.Message == "" {
		refusal.Message = fmt.Sprintf("%s %s: %s", method, path, res.Status)
	}
	return nil, &statusError{res.StatusCode, plain.Line(refusal.Message)}
}

// stdioConn is a connection through a process of the client's.
type stdioConn struct {
	io.Reader
	io.WriteCloser
	cmd  *exec.Cmd
	said *bytes.Buffer
	once sync.Once
}

// complaint is what the client said when it did not connect.
type complaint string

func (c complaint) Error() string { return string(c) }

// dialStdio has the client connect to its engine. The connection outlives the
// context of the request that needed it first.
func (e *Engine) dialStdio(ctx context.Context) (net.Conn, error) {
	cmd := e.command(context.WithoutCancel(ctx), "system", "dial-stdio")
	c := &stdioConn{cmd: cmd, said: &bytes.Buffer{}}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot reach the engine: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot reach the engine: %w", err)
	}
	cmd.Stderr = c.said
	c.Reader, c.WriteCloser = out, in
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot reach the engine: %w", err)
	}
	return c, nil
}

// Read implements [net.Conn].
func (c *stdioConn) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if n == 0 {
		err = c.told(err)
	}
	return n, err
}

// Write implements [net.Conn].
func (c *stdioConn) Write(p []byte) (int, error) {
	n, err := c.WriteCloser.Write(p)
	return n, c.told(err)
}

// told is what the client complained of, if it did, in the place of an error.
func (c *stdioConn) told(err error) error {
	if err == nil {
		return nil
	}
	_ = c.Close() // it has said all by then
	if said := lastLine(c.said.String()); said != "" {
		return complaint(said)
	}
	return err
}

// Close implements [net.Conn].
func (c *stdioConn) Close() error {
	c.once.Do(func() {
		_ = c.WriteCloser.Close()
		done := make(chan struct{})
		go func() {
			select {
			case <-done:
			case <-time.After(time.Second):
				_ = c.cmd.Process.Kill()
			}
		}()
		_ = c.cmd.Wait()
		close(done)
	})
	return nil
}

type stdioAddr struct{}

func (stdioAddr) Network() string { return "stdio" }
func (stdioAddr) String() string  { return "docker system dial-stdio" }

// LocalAddr and the rest of [net.Conn] mean nothing here; requests are bounded by
// their contexts.
func (c *stdioConn) LocalAddr() net.Addr              { return stdioAddr{} }
func (c *stdioConn) RemoteAddr() net.Addr             { return stdioAddr{} }
func (c *stdioConn) SetDeadline(time.Time) error      { return nil }
func (c *stdioConn) SetReadDeadline(time.Time) error  { return nil }
func (c *stdioConn) SetWriteDeadline(time.Time) error { return nil }
