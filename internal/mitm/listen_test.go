package mitm

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

func TestListenAtASocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hop.sock")
	l, err := listen(wire.Socket(file))
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Lstat(file); err != nil || fi.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is %v (%v)", fi.Mode(), err)
	}
	if _, err := listen(wire.Socket(file)); err == nil || !strings.Contains(err.Error(), "something else listens") {
		t.Errorf("a second listener was answered by %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file); !os.IsNotExist(err) {
		t.Errorf("the socket outlived its listener: %v", err)
	}
}

// A process that is killed leaves its socket, which must not keep the next one out.
func TestListenAtTheSocketOfAKilledProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hop.sock")
	dead, err := net.Listen("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = dead.Close()
	l, err := listen(wire.Socket(file))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestListenLeavesFilesAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(wire.Socket(file)); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(file); string(data) != "mine" {
		t.Errorf("the file holds %q", data)
	}
}

// One that is too busy to answer is alive.
func TestListenBesideABusyProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hop.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: file}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 8 { // more than it keeps waiting
		if c, err := net.Dial("unix", file); err == nil {
			defer c.Close()
		}
	}
	if _, err := listen(wire.Socket(file)); err == nil {
		t.Error("the socket was taken from a process that is alive")
	}
	if _, err := os.Lstat(file); err != nil {
		t.Error(err)
	}
}
