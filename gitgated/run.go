package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/gitgated/internal/refpolicy"
	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Run is the whole program: it interprets args and works until ctx ends. Git
// calls it back for its helpers, whose command lines are git's.
func Run(ctx context.Context, args, env []string, stdio daemon.Stdio) error {
	if len(args) > 1 && args[0] == "ssh-link" {
		return sshLink(ctx, args[1:], env, stdio)
	}
	if len(args) == 2 && args[0] == "credential" {
		return credential(args[1], env, stdio)
	}
	return daemon.Run(ctx, daemon.Spec[wire.Gitgated]{
		Name:     "gitgated",
		Summary:  "the agent's git remotes: mirrors, scans pushes, holds credentials",
		Admin:    "127.0.0.1:9903",
		Basics:   basics,
		Validate: validate,
		Check:    check,
		New:      newService,
	}, args, env, stdio)
}

func basics(c *wire.Gitgated) daemon.Basics {
	return daemon.Basics{Version: c.Version, Bottle: c.Bottle, Admin: c.Listen.Admin, Audit: c.Audit}
}

func validate(doc *wire.Doc, c *wire.Gitgated) error {
	if c.Listen.HTTP == "" && c.Listen.Git == "" {
		return doc.Errorf("listen", "listen has neither http nor git, so nobody could come in")
	}
	if c.State == "" {
		return doc.Errorf("state", "state is missing: the directory for mirrors")
	}
	if len(c.Remotes) == 0 {
		return doc.Errorf("remotes", "remotes is empty, so there is nothing to serve")
	}
	if i, field, err := gitremote.ValidateAll(c.Remotes); err != nil {
		at := fmt.Sprintf("remotes[%d].%s", i, field)
		return doc.Errorf(at, "%s: %v", at, err)
	}
	for i, r := range c.Remotes {
		at := fmt.Sprintf("remotes[%d].", i)
		if r.TokenRef != "" && c.SecretsDir == "" {
			return doc.Errorf(at+"token_ref", "remotes[%d] has a token, but secrets_dir does not say where the token files are", i)
		}
		if r.KnownHostKey != "" {
			if _, err := sshlink.ParseHostKey(r.KnownHostKey); err != nil {
				return doc.Errorf(at+"known_host_key", "%v", err)
			}
		}
	}
	return validateAllowances(doc, c.Allowances)
}

var oidShape = regexp.MustCompile(`^[0-9a-f]{40}$`)

func validateAllowances(doc *wire.Doc, all []wire.GitAllowance) error {
	for i, a := range all {
		at := fmt.Sprintf("allowances[%d].", i)
		switch {
		case !oidShape.MatchString(a.Object):
			return doc.Errorf(at+"object", "%q is not the full id of an object (40 hexadecimal digits)", a.Object)
		case a.Rule == "":
			return doc.Errorf(at+"rule", "the allowance names no rule")
		case a.Expires.IsZero():
			return doc.Errorf(at+"expires", "an approval ends at some time; write expires: 2030-01-31T00:00:00Z")
		}
	}
	return nil
}

// check decides about a request as far as that can be done without the objects:
// `check FETCH app`, `check PUSH app#refs/heads/x`, `check DELETE app#refs/tags/v1`.
// Instead of the name an upstream's URL may stand.
func check(c *wire.Gitgated, method, target string) (policy.Decision, error) {
	if !slices.Contains([]string{"FETCH", "PUSH", "DELETE"}, method) {
		return policy.Decision{}, fmt.Errorf("%q is none of FETCH, PUSH and DELETE", method)
	}
	target, ref, _ := strings.Cut(target, "#")
	i := slices.IndexFunc(c.Remotes, func(r wire.GitRemote) bool {
		u, err := gitremote.Parse(r.Upstream)
		return r.Name == target || err == nil && slices.Contains(u.Spellings(), target)
	})
	if i < 0 {
		return unknownRemote(target), nil
	}
	rule := fmt.Sprintf("remotes[%d]", i)
	if method == "FETCH" {
		return policy.Allowed(rule), nil
	}
	if ref == "" {
		return policy.Decision{}, fmt.Errorf("a push is about a ref: write %s#refs/heads/NAME", target)
	}
	u := refpolicy.Update{Ref: ref, Old: refpolicy.Zero, New: strings.Repeat("1", 40)}
	have := map[string]string{}
	if method == "DELETE" {
		u.Old, u.New, have[ref] = u.New, u.Old, u.New
	}
	d := refpolicy.Names(c.Remotes[i].Refs, have, []refpolicy.Update{u})[0]
	if d.Rule != "" {
		d.Rule = rule + "." + d.Rule
	}
	return d, nil
}

func unknownRemote(name string) policy.Decision {
	return policy.Denied(policy.ReasonRemoteUnknown, "", fmt.Sprintf("The bottle declares no git remote %q.", name))
}
