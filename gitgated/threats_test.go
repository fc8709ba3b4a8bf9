package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// attempt is one push that must not arrive.
type attempt struct {
	name   string
	reason policy.Reason
	// push prepares the clone and returns the refspecs, or nil when it has
	// pushed by itself and out is what was said.
	push func(w *world, dir, secret string) (specs []string)
}

// attempts are the rows of THREATS under "Git" that end at the push.
var attempts = []attempt{
	{"a file", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "src/config.go", "package config\n\nconst token = \""+s+"\"\n", "Configuration")
		return []string{"HEAD"}
	}},
	{"a commit that a later one of the same push removes", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a", s, "Add")
		w.git(dir, "rm", "--quiet", "a")
		w.git(dir, "commit", "--quiet", "-m", "Remove")
		return []string{"HEAD"}
	}},
	{"a side branch that was merged", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.git(dir, "checkout", "--quiet", "-b", "side")
		w.commit(dir, "side", s, "Side")
		w.git(dir, "checkout", "--quiet", "agent/work")
		w.commit(dir, "main", "x", "Main")
		w.git(dir, "merge", "--quiet", "--no-ff", "-s", "ours", "-m", "Merge", "side")
		return []string{"HEAD"}
	}},
	{"only in the merge commit itself", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.git(dir, "checkout", "--quiet", "-b", "side")
		w.commit(dir, "side", "x", "Side")
		w.git(dir, "checkout", "--quiet", "agent/work")
		w.commit(dir, "main", "x", "Main")
		w.git(dir, "merge", "--quiet", "--no-commit", "side")
		w.write(dir, "evil", s)
		w.git(dir, "add", "evil")
		w.git(dir, "commit", "--quiet", "-m", "Merge")
		return []string{"HEAD"}
	}},
	{"an annotated tag's message", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.git(dir, "tag", "-a", "-m", "release "+s, "v9")
		return []string{"v9"}
	}},
	{"a tag of a tag", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.git(dir, "tag", "-a", "-m", "inner "+s, "inner")
		w.git(dir, "tag", "-a", "-m", "outer", "outer", "inner")
		return []string{"outer"}
	}},
	{"a tag of a blob", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.write(dir, "loose", s)
		w.git(dir, "tag", "blobtag", w.git(dir, "hash-object", "-w", "loose"))
		return []string{"blobtag"}
	}},
	{"a commit message", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a", "x", "Use "+s)
		return []string{"HEAD"}
	}},
	{"an author field", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.write(dir, "a", "x")
		w.git(dir, "add", "a")
		w.git(dir, "commit", "--quiet", "--author="+s+" <a@b>", "-m", "A")
		return []string{"HEAD"}
	}},
	{"a header of a commit that git does not know", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		raw := w.git(dir, "cat-file", "commit", "HEAD")
		raw = strings.Replace(raw, "\n\n", "\nx-note "+s+"\n\n", 1)
		w.write(dir, ".git/raw", raw+"\n")
		w.git(dir, "reset", "--quiet", "--hard", w.git(dir, "hash-object", "-t", "commit", "-w", ".git/raw"))
		return []string{"HEAD"}
	}},
	{"a note", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.git(dir, "notes", "add", "-m", "see "+s)
		return []string{"refs/notes/commits"}
	}},
	{"a branch name", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a", "x", "A")
		return []string{"HEAD:refs/heads/agent/" + s}
	}},
	{"a file name", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "docs/"+s+".txt", "x", "A")
		return []string{"HEAD"}
	}},
	{"the name of a folder", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, s+"/x", "x", "A")
		return []string{"HEAD"}
	}},
	{"a binary", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a.bin", "\x7fELF\x00\x01\x02\x00"+s+"\x00\x00", "A")
		return []string{"HEAD"}
	}},
	{"a renamed file", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a", s, "A")
		w.git(dir, "mv", "a", "b.png")
		w.git(dir, "commit", "--quiet", "-m", "Rename")
		return []string{"HEAD"}
	}},
	{"text in UTF-16", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a.txt", wideText("token = "+s+"\r\n"), "A")
		return []string{"HEAD"}
	}},
	{"a zip", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a.zip", string(zipped("in.txt", []byte("k="+s))), "A")
		return []string{"HEAD"}
	}},
	{"a tar.gz in a zip", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a.jar", string(zipped("in.tgz", tarred("x/y.txt", []byte("k="+s)))), "A")
		return []string{"HEAD"}
	}},
	{"a zip behind a program", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a.sh", "#!/bin/sh\nexit\n"+string(zipped("in.txt", []byte("k="+s))), "A")
		return []string{"HEAD"}
	}},
	{"a name in a zip", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a.zip", string(zipped(s, []byte("x"))), "A")
		return []string{"HEAD"}
	}},
	{"an archive that bursts", policy.ReasonUnscannable, func(w *world, dir, s string) []string {
		bomb := make([]byte, 1<<20)
		for range 5 {
			bomb = zipped("z", zipped("z", bomb))
		}
		w.commit(dir, "a.zip", string(bomb), "A")
		return []string{"HEAD"}
	}},
	{"the middle of a large file", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		noise := strings.Repeat("nothing to see in this line\n", 200_000)
		w.commit(dir, "big", noise+s+"\n"+noise, "A")
		return []string{"HEAD"}
	}},
	{"gitleaks:allow beside it, and the repository's own rules", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, ".gitleaks.toml", "[allowlist]\nregexes = ['.*']\npaths = ['.*']\n", "Rules")
		w.commit(dir, ".gitattributes", "* -diff -text binary\n", "Attributes")
		w.commit(dir, "a", "k = "+s+" # gitleaks:allow\n", "A")
		w.commit(dir, ".gitleaksignore", w.git(dir, "rev-parse", "HEAD")+":a:github-pat:1\n", "Ignore")
		return []string{"HEAD"}
	}},
	{"an LFS object", policy.ReasonLFSUpload, func(w *world, dir, s string) []string {
		body := fmt.Sprintf(`{"operation":"upload","objects":[{"oid":"%064d","size":40}]}`, 1)
		resp, err := http.Post(w.url()+"/info/lfs/objects/batch", "application/vnd.git-lfs+json", strings.NewReader(body))
		must(w.t, err)
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		w.said = resp.Status + " " + string(text)
		return nil
	}},
	{"history that is not a fast-forward", policy.ReasonRefForced, func(w *world, dir, s string) []string {
		w.commit(dir, "a", "1", "A")
		w.git(dir, "push", "--quiet", "origin", "HEAD:refs/heads/agent/ff")
		w.settle()
		w.git(dir, "commit", "--quiet", "--amend", "-m", "B")
		return []string{"+HEAD:refs/heads/agent/ff"}
	}},
	{"a deletion", policy.ReasonRefDelete, func(w *world, dir, s string) []string {
		w.git(dir, "push", "--quiet", "origin", "HEAD:refs/heads/agent/gone")
		w.settle()
		return []string{":refs/heads/agent/gone"}
	}},
	{"a tag that moves", policy.ReasonTagMoved, func(w *world, dir, s string) []string {
		w.commit(dir, "a", "1", "A")
		return []string{"+HEAD:refs/tags/v1"}
	}},
	{"a ref outside the allowed patterns", policy.ReasonRefNotAllowed, func(w *world, dir, s string) []string {
		w.commit(dir, "a", "1", "A")
		return []string{"HEAD:refs/heads/main"}
	}},
	{"refs/replace", policy.ReasonRefNotAllowed, func(w *world, dir, s string) []string {
		w.commit(dir, "a", "1", "A")
		return []string{"HEAD:refs/replace/" + w.git(dir, "rev-parse", "origin/main")}
	}},
	{"a ref that climbs", policy.ReasonRefNotAllowed, func(w *world, dir, s string) []string {
		w.raw(dir, "refs/heads/agent/../main", emptyPack())
		return nil
	}},
	{"a ref with a hidden character", policy.ReasonRefNotAllowed, func(w *world, dir, s string) []string {
		w.commit(dir, "a", "1", "A")
		return []string{"HEAD:refs/heads/agent/a\u202eb"}
	}},
	{"one bad ref among good ones", policy.ReasonSecretFound, func(w *world, dir, s string) []string {
		w.commit(dir, "a", "1", "A")
		w.git(dir, "branch", "good")
		w.commit(dir, "b", s, "B")
		return []string{"good:refs/heads/agent/good", "HEAD:refs/heads/agent/bad"}
	}},
	{"a pack that is none", policy.ReasonBadPack, func(w *world, dir, s string) []string {
		w.raw(dir, "refs/heads/agent/x", []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x05rubbish that is no object at all"))
		return nil
	}},
	{"a pack that claims four billion objects", policy.ReasonPushLimit, func(w *world, dir, s string) []string {
		w.raw(dir, "refs/heads/agent/x", []byte("PACK\x00\x00\x00\x02\xff\xff\xff\xffxxxx"))
		return nil
	}},
	{"an object that is not brought", policy.ReasonBadPack, func(w *world, dir, s string) []string {
		w.raw(dir, "refs/heads/agent/x", emptyPack())
		return nil
	}},
	{"a tree with a .git in it", policy.ReasonBadPack, func(w *world, dir, s string) []string {
		blob := w.git(dir, "rev-parse", "HEAD:README.md")
		raw, _ := hex.DecodeString(blob)
		w.write(dir, ".git/tree", "40000 .git\x00"+string(rawTree(w, dir))+"100644 README\x00"+string(raw))
		tree := w.git(dir, "hash-object", "-t", "tree", "--literally", "-w", ".git/tree")
		w.git(dir, "reset", "--quiet", "--soft", w.git(dir, "commit-tree", "-m", "Evil", tree))
		return []string{"HEAD"}
	}},
	{"a file larger than one may be", policy.ReasonPushLimit, func(w *world, dir, s string) []string {
		w.commit(dir, "zeros", string(make([]byte, 33<<20)), "A")
		return []string{"HEAD"}
	}},
	{"a push larger than one may be", policy.ReasonPushLimit, func(w *world, dir, s string) []string {
		w.commit(dir, "noise", random(6<<20), "A")
		return []string{"HEAD"}
	}},
	{"more refs than one push may change", policy.ReasonPushLimit, func(w *world, dir, s string) []string {
		var specs []string
		for i := range 60 {
			specs = append(specs, fmt.Sprintf("HEAD:refs/heads/agent/many/%d", i))
		}
		return specs
	}},
}

// settle takes the present state of the upstream for the one that must stay.
func (w *world) settle() { w.before = w.state() }

// TestNothingOfTheseArrives is the table of THREATS: each push is refused with
// its reason, and the upstream's refs, reflogs and objects stay as they were.
func TestNothingOfTheseArrives(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS()
	w.config.FetchMaxAge = 0
	w.config.Remotes[0].Limits = wire.GitLimits{MaxObjectBytes: 32 << 20, MaxPushBytes: 2 << 20, MaxRefs: 50}
	w.start()
	base := w.clone()
	t.Logf("%-58s %-22s %s", "a secret in, or", "reason", "what the agent was told first")
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			w.t = t
			dir := filepath.Join(w.dir, "t-"+random(6))
			must(t, exec.Command("cp", "-a", base, dir).Run())
			secret := secretToken()
			w.said = ""
			w.settle()
			pushes := w.requests.count("POST /group/app.git/git-receive-pack")
			if specs := a.push(w, dir, secret); specs != nil {
				pushes = w.requests.count("POST /group/app.git/git-receive-pack")
				out, err := w.try(dir, append([]string{"push", "origin"}, specs...)...)
				w.said = out
				if err == nil {
					t.Error("the push succeeded")
				}
			}
			if !strings.Contains(w.said, string(a.reason)) {
				t.Errorf("the reason %s is missing in:\n%s", a.reason, w.said)
			}
			if after := w.state(); after != w.before {
				t.Errorf("the upstream changed from\n%s\nto\n%s", w.before, after)
			}
			if n := w.requests.count("POST /group/app.git/git-receive-pack"); n != pushes {
				t.Errorf("the upstream heard of it: %d pushes", n-pushes)
			}
			if strings.Contains(strings.ReplaceAll(w.said, "To http", ""), secret) && a.name != "a branch name" {
				t.Errorf("the secret is repeated in:\n%s", w.said)
			}
			lines := w.audit()
			last := lines[len(lines)-1]
			if last.Decision != policy.Deny || last.Reason != a.reason {
				t.Errorf("the audit ends with %+v", last)
			}
			data, err := os.ReadFile(w.config.Audit.File)
			if err != nil || bytes.Contains(data, []byte(secret)) || strings.Contains(w.log.String(), secret) {
				t.Error("the secret is in the audit or the log", err)
			}
			t.Logf("%-58s %-22s %s", a.name, a.reason, first(w.said))
		})
		w.t = t
	}
	w.git(w.bare, "fsck", "--strict")
	left, err := os.ReadDir(filepath.Join(w.config.State, "quarantine"))
	if err != nil || len(left) > 0 {
		t.Errorf("quarantines are left: %v, %v", left, err)
	}
}

// first is the first line in which the gate says what is wrong.
func first(said string) string {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(strings.TrimLeft(strings.TrimPrefix(line, "remote:"), " \x02"))
		if i := strings.Index(line, "bottle: "); i >= 0 && !strings.Contains(line, "finding(s)") {
			return strings.TrimSpace(line[i+len("bottle: "):])
		}
	}
	return ""
}

// TestOldHistoryIsNotBlamed has a secret upstream already: a new branch from
// there is not stopped by it.
func TestOldHistoryIsNotBlamed(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS()
	seed := filepath.Join(w.dir, "seed")
	w.commit(seed, "old.txt", secretToken(), "An old mistake")
	w.git(seed, "push", "--quiet", w.bare, "main")
	w.start()
	dir := w.clone()
	w.commit(dir, "new.txt", "harmless\n", "Work")
	w.git(dir, "push", "--quiet", "origin", "HEAD")
}

// TestAgentsConfigurationCannotRedirect lets the agent write what it likes: the
// gate's credential goes to the declared upstream or nowhere.
func TestAgentsConfigurationCannotRedirect(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS().start()
	var heard requests
	l := listenAndRecord(t, &heard)
	dir := w.clone()
	for _, kv := range []string{"url." + l + ".insteadOf=" + w.config.Remotes[0].Upstream, "http.proxy=" + l, "credential.helper=!echo password=x", "core.sshCommand=false", "remote.origin.proxy=" + l} {
		k, v, _ := strings.Cut(kv, "=")
		w.git(dir, "config", k, v)
	}
	w.commit(dir, "a", "x", "A")
	_, _ = w.try(dir, "push", "origin", "HEAD") // goes to the listener, which is the agent's own affair
	w.commit(dir, ".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = "+l+"/x.git\n", "Submodule")
	_, _ = w.try(dir, "-c", "http.proxy=", "-c", "remote.origin.proxy=", "push", "origin", "HEAD")
	if heard.count(w.token) > 0 || heard.count("Basic") > 0 {
		t.Errorf("the credential went to %s: %v", l, heard.list)
	}
}

func listenAndRecord(t *testing.T, heard *requests) string {
	t.Helper()
	address := testkit.FreeAddress(t)
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard.add(fmt.Sprint(r.Method, r.URL, r.Header))
		w.WriteHeader(http.StatusNotFound)
	})}
	go func() { _ = server.ListenAndServe() }()
	t.Cleanup(func() { _ = server.Close() })
	waitFor(t, address)
	return "http://" + address
}
