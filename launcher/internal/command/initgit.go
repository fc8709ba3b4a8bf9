package command

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/wire"
)

// firstGit is a git remote of the example bottle.
type firstGit struct {
	Name, Upstream, Identity, HostKey string
	SSH                               bool
	host, port                        string
}

// checkRemote takes what a manifest does, whatever key goes with it.
func checkRemote(url string) error {
	if url == "none" {
		return nil
	}
	u, err := gitremote.Parse(url)
	if err != nil {
		return err
	}
	remote := wire.GitRemote{Name: "app", Upstream: url}
	if u.Scheme == gitremote.SSH {
		remote.IdentityFile = "key"
	}
	_, err = gitremote.Validate(remote)
	return err
}

// origin is the remote of the repository around the working directory, if it is
// one for a bottle.
func (r *run) origin(ctx context.Context) string {
	out, err := r.tool(ctx, "git", "config", "--get", "remote.origin.url")
	url := strings.TrimSpace(string(out))
	if err != nil || url == "" || checkRemote(url) != nil {
		return "none"
	}
	return url
}

// tool runs a small program of this machine that is found in the operator's PATH.
func (r *run) tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, dir := range filepath.SplitList(r.getenv("PATH")) {
		file := filepath.Join(dir, name)
		if fi, err := os.Stat(file); filepath.IsAbs(dir) && err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			cmd := exec.CommandContext(ctx, file, args...)
			cmd.Env = []string{"HOME=" + r.getenv("HOME"), "PATH=" + r.getenv("PATH")}
			return cmd.Output()
		}
	}
	return nil, fmt.Errorf("there is no %s in PATH", name)
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// firstGit describes the remote with a URL that [checkRemote] took.
func (r *run) firstGit(ctx context.Context, url string) *firstGit {
	u, err := gitremote.Parse(url)
	if err != nil {
		return nil
	}
	name := strings.Trim(notName.ReplaceAllString(strings.ToLower(strings.TrimSuffix(path.Base(u.URL()), ".git")), "-"), "-")
	if bottle.CheckName(name) != nil {
		name = "app"
	}
	g := &firstGit{Name: name, Upstream: url, SSH: u.Scheme == gitremote.SSH, Identity: "~/.ssh/bottle_ed25519", host: u.Host, port: u.Port}
	if g.SSH {
		g.HostKey = r.hostKey(ctx, g.host, g.port)
	}
	return g
}

// hostKey is the ed25519 key of a server that the operator has in known_hosts,
// hashed names included, or "".
func (r *run) hostKey(ctx context.Context, host, port string) string {
	name := host
	if port != "" && port != "22" {
		name = "[" + host + "]:" + port
	}
	out, err := r.tool(ctx, "ssh-keygen", "-F", name)
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 3 && fields[1] == "ssh-ed25519" && !strings.HasPrefix(fields[0], "@") {
			return fields[1] + " " + fields[2]
		}
	}
	return ""
}

// advice is what is left to do for the remote.
func (g *firstGit) advice() string {
	s := "Make its key, and give the public half to the server as a deploy key:\n  ssh-keygen -t ed25519 -N '' -f " + g.Identity
	if g.HostKey == "" {
		scan := "ssh-keyscan -t ed25519 "
		if g.port != "" && g.port != "22" {
			scan += "-p " + g.port + " "
		}
		s += "\nWrite known_host_key, after comparing its fingerprint with what the server's operator says:\n  " + scan + g.host
	}
	return s
}
