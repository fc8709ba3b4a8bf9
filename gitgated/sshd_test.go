package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// sshServer is a real sshd.
type sshServer struct {
	address, hostKey, identity string
	cmd                        *exec.Cmd
}

// startSSH runs an sshd that lets one key in.
func (w *world) startSSH() *sshServer {
	t, dir := w.t, filepath.Join(w.dir, "sshd-"+random(4))
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd"
	}
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("there is no sshd here: install openssh-server")
	}
	must(t, os.Mkdir(dir, 0o700))
	s := &sshServer{address: testkit.FreeAddress(t), identity: filepath.Join(dir, "id")}
	for _, key := range []string{"host", "id"} {
		must(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).Run())
	}
	pub, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	must(t, err)
	s.hostKey = strings.Join(strings.Fields(string(pub))[:2], " ")
	if os.Getuid() == 0 {
		must(t, os.MkdirAll("/run/sshd", 0o755))
	}
	host, port, _ := net.SplitHostPort(s.address)
	// SHLVL keeps bash from reading the .bashrc of whoever runs the tests.
	conf := fmt.Sprintf("ListenAddress %s\nPort %s\nHostKey %s/host\nAuthorizedKeysFile %s/id.pub\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nAcceptEnv GIT_PROTOCOL\nSetEnv SHLVL=2 PATH=%s\nLogLevel ERROR\n", host, port, dir, dir, strings.TrimPrefix(w.path+":/usr/bin:/bin", ":"))
	must(t, os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600))
	s.cmd = exec.Command(sshd, "-D", "-e", "-f", filepath.Join(dir, "conf"))
	s.cmd.Stderr = w.log
	must(t, s.cmd.Start())
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	waitFor(t, s.address)
	return s
}

func waitFor(t testing.TB, address string) {
	t.Helper()
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nobody listens on %s", address)
}

// overSSH gives the world an upstream behind an sshd.
func (w *world) overSSH() (*world, *sshServer) {
	s := w.startSSH()
	me, err := user.Current()
	must(w.t, err)
	w.config.Remotes = []wire.GitRemote{{
		Name: "app", Upstream: "ssh://" + me.Username + "@" + s.address + w.bare, IdentityFile: s.identity, KnownHostKey: s.hostKey, Refs: agentRefs(),
	}}
	return w, s
}
