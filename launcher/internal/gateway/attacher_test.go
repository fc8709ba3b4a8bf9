package gateway

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// daemonRig runs the whole program on a configuration, and puts a guest at the
// other end of what it attaches.
func daemonRig(t *testing.T, change func(*wire.Gateway), attach func() net.Conn) *rig {
	t.Helper()
	c := config(testkit.Serve(t, echo), 1500)
	dir := t.TempDir()
	c.Bottle.Audit.File = filepath.Join(dir, "gateway.jsonl")
	c.Bottle.Admin = testkit.FreeAddress(t)
	change(c)
	data, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gvproxy.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, []string{"--config", file}, nil, daemon.Stdio{Out: io.Discard, Err: io.Discard})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the gateway does not end")
		}
	})
	healthy := func() error {
		return Run(t.Context(), []string{"--config", file, "healthcheck"}, nil, daemon.Stdio{Out: io.Discard, Err: io.Discard})
	}
	for range 200 {
		if healthy() == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	r := &rig{t: t, trail: c.Bottle.Audit.File, raw: attach()}
	n := understood(t)
	r.bootGuest(card{1500, n.guard.Guest, n.guard.Gateway, n.subnet, n.guard.GuestMAC, n.guard.GatewayMAC})
	t.Cleanup(func() { r.raw.Close(); r.guest.Destroy() })
	return r
}

// carries proves that a connection passes, also behind frames that no framing has
// room for, and that a denied one is audited.
func (r *rig) carries(t *testing.T) {
	t.Helper()
	for _, f := range r.giants(t) {
		if err := r.send(f); err != nil {
			t.Fatalf("a frame of %d bytes ended the link: %v", len(f), err)
		}
	}
	r.audited(`"event":"flow"`, `"method":"giant"`)
	c := r.mustDial("10.213.1.2:9099")
	sent := bytes.Repeat([]byte("0123456789"), 5000)
	go func() { _, _ = c.Write(sent); _ = c.CloseWrite() }()
	if got, err := io.ReadAll(c); !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes: %v", len(got), len(sent), err)
	}
	if _, err := r.dial("203.0.113.7:443"); err == nil {
		t.Error("the internet is there")
	}
	r.audited(`"event":"flow"`, `"host":"203.0.113.7:443"`)
	r.audited(`"event":"attach"`)
}

// giants are frames that the link is too small for: with a tag, which makes them as
// long as a device lets them be, and longer than that.
func (r *rig) giants(t *testing.T) (list [][]byte) {
	g := understood(t).guard
	for _, longer := range []int{1, 2, 4, 8, 2000, 60000} {
		list = append(list, ether(g, g.GatewayMAC, 0x8100, make([]byte, g.MTU+longer)...))
	}
	return list
}

func TestStreamSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.sock")
	daemonRig(t, func(c *wire.Gateway) { c.Interfaces = wire.GatewayInterfaces{Qemu: "unix://" + path} }, func() net.Conn {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("the socket: %v %v", fi, err)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}).carries(t)
}

// datagrams makes the framing of a stream out of datagrams, for the test's guest.
type datagrams struct {
	*net.UnixConn
	in []byte
}

func (d *datagrams) Read(p []byte) (int, error) {
	if len(d.in) == 0 {
		buf := make([]byte, 1<<17)
		n, err := d.UnixConn.Read(buf)
		if err != nil {
			return 0, err
		}
		d.in = append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, buf[:n]...)
	}
	n := copy(p, d.in)
	d.in = d.in[n:]
	return n, nil
}

func (d *datagrams) Write(p []byte) (int, error) {
	for rest := p; len(rest) >= 4; {
		n := int(rest[0])<<24 | int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
		if _, err := d.UnixConn.Write(rest[4 : 4+n]); err != nil {
			return 0, err
		}
		rest = rest[4+n:]
	}
	return len(p), nil
}

func TestUnixgramSocket(t *testing.T) {
	for name, hello := range map[string]string{"with a greeting": magic, "without": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "v.sock")
			daemonRig(t, func(c *wire.Gateway) { c.Interfaces = wire.GatewayInterfaces{Vfkit: "unixgram://" + path} }, func() net.Conn {
				c, err := net.DialUnix("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "guest.sock"), Net: "unixgram"}, &net.UnixAddr{Name: path, Net: "unixgram"})
				if err != nil {
					t.Fatal(err)
				}
				if hello != "" {
					_, _ = c.Write([]byte(hello))
				}
				return &datagrams{UnixConn: c}
			}).carries(t)
		})
	}
}

func TestInheritedDescriptor(t *testing.T) {
	far, near := testkit.SocketPair(t)
	f, err := near.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	near.Close()
	fd, err := syscall.Dup(int(f.Fd())) // one that no file of this process owns
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	daemonRig(t, func(c *wire.Gateway) { c.Interfaces = wire.GatewayInterfaces{FD: fd} }, func() net.Conn { return far }).carries(t)
}

// A socket's place that something else holds is not taken.
func TestPlaceOfTheSocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newAttacher(wire.GatewayInterfaces{Qemu: "unix://" + file}); err == nil {
		t.Error("a file was replaced")
	}
	if data, err := os.ReadFile(file); string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
}
