package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/bottlesuite/bottle/test/proxies"
)

// peerReady is how long a peer may take to start.
const peerReady = 30 * time.Second

// startMitmproxy runs mitmdump as a plain interception proxy: no script, no
// filter, no flow printed.
func startMitmproxy(dir, roots string, undo *[]func() error) (way, error) {
	path, err := exec.LookPath("mitmdump")
	if err != nil {
		return way{}, errors.New("mitmdump is missing: `make bench-peers` installs the Debian package mitmproxy")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return way{}, err
	}
	address := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	conf := filepath.Join(dir, "mitmproxy")
	if err := os.Mkdir(conf, 0o700); err != nil {
		return way{}, err
	}
	cmd := exec.Command(path, "-q", "--listen-host", "127.0.0.1", "--listen-port", fmt.Sprint(address.Port),
		"--set", "confdir="+conf, "--set", "ssl_verify_upstream_trusted_ca="+roots, "--set", "flow_detail=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return way{}, err
	}
	*undo = append(*undo, func() error {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		return nil
	})
	for deadline := time.Now().Add(peerReady); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", address.String())
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			return way{}, fmt.Errorf("mitmdump is not ready: %w", err)
		}
	}
	d := &proxies.Daemon{Process: proxies.Process{PID: cmd.Process.Pid}, Name: "mitmdump"}
	return way{"mitmproxy", "http://" + address.String(), filepath.Join(conf, "mitmproxy-ca-cert.pem"), []*proxies.Daemon{d}}, nil
}
