package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/bottlesuite/bottle/gitgated/internal/mirror"
	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/secret"
)

// variable looks a variable up in an environment.
func variable(env []string, name string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

func readLink(env []string) (link mirror.Link, err error) {
	data, err := os.ReadFile(variable(env, mirror.LinkVariable))
	if err != nil {
		return link, fmt.Errorf("this command is for git, which gitgated starts: %w", err)
	}
	return link, json.Unmarshal(data, &link)
}

// sshLink is git's ssh: [options] host command. Where to connect is in the link;
// of the arguments the command alone counts.
func sshLink(ctx context.Context, args, env []string, stdio daemon.Stdio) error {
	link, err := readLink(env)
	if err != nil {
		return err
	}
	err = sshlink.Run(ctx, link.SSH, variable(env, "GIT_PROTOCOL"), args[len(args)-1], stdio.In, stdio.Out, stdio.Err)
	var f *sshlink.Fault
	if errors.As(err, &f) {
		if data, merr := json.Marshal(f); merr == nil {
			_ = os.WriteFile(variable(env, mirror.FaultVariable), data, 0o600) // git's own words remain
		}
	}
	var ended *ssh.ExitError
	if errors.As(err, &ended) {
		return &daemon.ExitError{Code: ended.ExitStatus(), Err: errors.New("the command on the server failed")}
	}
	return err
}

// credential is git's credential helper. It answers for the link's own host and
// path alone, over https, and never stores anything.
func credential(operation string, env []string, stdio daemon.Stdio) error {
	if operation != "get" {
		return nil
	}
	link, err := readLink(env)
	if err != nil {
		return err
	}
	asked := map[string]string{}
	lines := bufio.NewScanner(stdio.In)
	for lines.Scan() && lines.Text() != "" {
		key, value, _ := strings.Cut(lines.Text(), "=")
		asked[key] = value
	}
	u := link.Upstream
	host := u.Host
	if u.Port != gitremote.DefaultPort[u.Scheme] {
		host = u.Address()
	}
	if link.TokenFile == "" || u.Scheme != gitremote.HTTPS || asked["protocol"] != gitremote.HTTPS ||
		asked["host"] != host || asked["path"] != strings.TrimPrefix(u.Path, "/") {
		return nil // git goes on without, and fails
	}
	token, err := secret.ReadFile(link.TokenFile)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdio.Out, "username=%s\npassword=%s\n", tokenUser(u), token.Reveal())
	return err
}

// tokenUser is the user name beside a token. The forges take any.
func tokenUser(u gitremote.Upstream) string {
	if u.User != "" {
		return u.User
	}
	return "x-access-token"
}
