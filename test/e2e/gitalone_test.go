package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// TestGitgatedAlone does what docs/gitgated.md says, word for word but for the
// upstream and its keys, and uses the result from the host.
func TestGitgatedAlone(t *testing.T) {
	need(t)
	g := startGitServer(t)
	port := testkit.FreePort(t)
	d := documented(t, "gitgated", []string{
		"ssh://git@git.example.com/group/app.git", "ssh://" + g.user + "@" + upstreamAddress + ":" + g.port + g.bare,
		"ssh-ed25519 AAAA...", g.hostKey,
		"~/.ssh/bottle_ed25519", g.identity,
	}, "BOTTLE_IDENTITY=alone-e2e01", "BOTTLE_GITGATED_PORT="+port, "URL=http://127.0.0.1:"+port+"/app.git",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x")
	d.up()

	for range 50 {
		if _, err := d.run("git ls-remote -q $URL"); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.must("git clone -q $URL app; cd app; git checkout -q -b agent/work; echo x > x; git add x; git commit -q -m X; git push -q origin HEAD")
	if !strings.Contains(g.refs(t), "refs/heads/agent/work") {
		t.Error("the push did not arrive")
	}
	before := g.refs(t)
	out, err := d.run("cd app; echo token=ghp_" + digits(36) + " > s; git add s; git commit -q -m S; git push origin HEAD")
	if err == nil || !strings.Contains(out, "secret_found") {
		t.Errorf("a secret: %v\n%s", err, out)
	}
	out, err = d.run("cd app; git push origin HEAD~1:refs/heads/main")
	if err == nil || !strings.Contains(out, "ref_not_allowed") {
		t.Errorf("a ref that is not allowed: %v\n%s", err, out)
	}
	if after := g.refs(t); after != before {
		t.Errorf("the upstream changed:\n%s", after)
	}
}
