package gateway

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/framing"
)

// attacher waits for guests.
type attacher interface {
	// Next returns the next attachment, once the one before has ended.
	Next() (framing.Attachment, error)
	io.Closer
}

func trimScheme(raw string) string { return strings.TrimPrefix(raw, "tcp://") }

// newAttacher opens what the guest is attached to.
func newAttacher(i wire.GatewayInterfaces) (attacher, error) {
	switch {
	case i.Qemu != "":
		path, err := socketPath("unix", i.Qemu)
		if err != nil {
			return nil, err
		}
		return listenStream(path)
	case i.Vfkit != "":
		path, err := socketPath("unixgram", i.Vfkit)
		if err != nil {
			return nil, err
		}
		return listenUnixgram(path)
	case i.Tap != "":
		return openTap(i.Tap)
	}
	return inherit(i.FD)
}

// replace removes a socket that an earlier gateway left, and nothing else.
func replace(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && fi.Mode().Type() != fs.ModeSocket {
		err = fmt.Errorf("%s is there and is no socket", path)
	}
	if err == nil {
		err = os.Remove(path)
	}
	return err
}

// streams accepts one connection at a time.
type streams struct{ net.Listener }

func listenStream(path string) (attacher, error) {
	if err := replace(path); err != nil {
		return nil, fmt.Errorf("cannot listen for the guest: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the guest: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return streams{l}, nil
}

// Next implements [attacher].
func (s streams) Next() (framing.Attachment, error) {
	c, err := s.Accept()
	if err != nil {
		return nil, err
	}
	return framing.NewStream(c), nil
}

// once is an attachment that there is only one of.
type once struct {
	open func() (framing.Attachment, error)
	stop func() error
	used bool
}

// Next implements [attacher].
func (o *once) Next() (framing.Attachment, error) {
	if o.used {
		return nil, errors.New("its end is closed, and it comes only once")
	}
	o.used = true
	return o.open()
}

// Close implements [io.Closer].
func (o *once) Close() error { return o.stop() }

func listenUnixgram(path string) (attacher, error) {
	if err := replace(path); err != nil {
		return nil, fmt.Errorf("cannot listen for the guest: %w", err)
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the guest: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &once{stop: c.Close, open: func() (framing.Attachment, error) {
		u, err := acceptUnixgram(c)
		if err != nil {
			return nil, err
		}
		return framing.NewDatagrams(u), nil
	}}, nil
}

// inherit takes over a socket that the parent opened: a stream, or one of
// datagrams.
func inherit(fd int) (attacher, error) {
	f := os.NewFile(uintptr(fd), "guest")
	if f == nil {
		return nil, fmt.Errorf("there is no descriptor %d", fd)
	}
	c, err := net.FileConn(f)
	_ = f.Close() // FileConn has a copy
	if err != nil {
		return nil, fmt.Errorf("the descriptor %d is not a socket: %w", fd, err)
	}
	a := framing.Attachment(framing.NewStream(c))
	if u, ok := c.(*net.UnixConn); ok && u.LocalAddr().Network() == "unixgram" {
		a = framing.NewDatagrams(u)
	}
	return &once{stop: c.Close, open: func() (framing.Attachment, error) { return a, nil }}, nil
}
