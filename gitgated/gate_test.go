package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

func unmarshal(text string, v any) error { return json.Unmarshal([]byte(text), v) }

// upstreams are the two ways in which the gate reaches an upstream.
var upstreams = map[string]func(testing.TB) *world{
	"https": func(t testing.TB) *world { return bareWorld(t).overHTTPS().start() },
	"ssh":   func(t testing.TB) *world { w, _ := bareWorld(t).overSSH(); return w.start() },
}

func TestCloneFetchPush(t *testing.T) {
	t.Parallel()
	for name, begin := range upstreams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t)
			for _, url := range []string{w.url(), "git://" + w.gitPort + "/app"} {
				for _, version := range []string{"0", "2"} {
					dir := filepath.Join(w.dir, "c-"+random(6))
					w.git("", "-c", "protocol.version="+version, "clone", "--quiet", url, dir)
					if got := w.git(dir, "log", "--format=%s"); got != "The beginning" {
						t.Errorf("%s version %s: %q", url, version, got)
					}
					w.git(dir, "checkout", "--quiet", "-b", "agent/"+random(8))
					w.commit(dir, "a.txt", random(20), "A change")
					w.git(dir, "push", "--quiet", "origin", "HEAD")
					if got := w.git(w.bare, "rev-parse", w.git(dir, "symbolic-ref", "HEAD")); got != w.git(dir, "rev-parse", "HEAD") {
						t.Errorf("%s version %s: the push did not arrive", url, version)
					}
				}
			}
			w.git(w.bare, "fsck", "--strict")
			lines := w.audit()
			begun, pushed := 0, 0
			for _, l := range lines {
				if l.Event == "begin" && l.Method == "PUSH" {
					begun++
				}
				if l.Event == "push" && l.Decision == policy.Allow {
					pushed++
				}
			}
			if begun != 4 || pushed != 4 {
				t.Errorf("the audit has %d begun and %d allowed pushes", begun, pushed)
			}
		})
	}
}

func TestFetchSeesTheUpstreamAsItIs(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS().start()
	dir := w.clone()
	seed := filepath.Join(w.dir, "seed")
	w.commit(seed, "b.txt", "new\n", "Later")
	w.git(seed, "push", "--quiet", w.bare, "main")
	w.git(seed, "push", "--quiet", w.bare, "main:refs/heads/other")
	w.git(dir, "fetch", "--quiet", "--prune")
	if got := w.git(dir, "log", "-1", "--format=%s", "origin/main"); got != "Later" {
		t.Errorf("fetched %q", got)
	}
	w.git(w.bare, "branch", "-D", "other")
	w.git(dir, "fetch", "--quiet", "--prune")
	if out, err := w.try(dir, "rev-parse", "--verify", "--quiet", "origin/other"); err == nil {
		t.Errorf("a branch that is gone upstream is still there: %s", out)
	}
}

func TestShallowAndPartialClones(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS().start()
	seed := filepath.Join(w.dir, "seed")
	for range 5 {
		w.commit(seed, "f.txt", random(200), "More")
	}
	w.git(seed, "push", "--quiet", w.bare, "main")
	for _, url := range []string{w.url(), "git://" + w.gitPort + "/app.git"} {
		shallow := filepath.Join(w.dir, "s-"+random(6))
		w.git("", "clone", "--quiet", "--depth=1", url, shallow)
		if got := w.git(shallow, "rev-list", "--count", "HEAD"); got != "1" {
			t.Errorf("a shallow clone has %s commits", got)
		}
		w.git(shallow, "checkout", "--quiet", "-b", "agent/"+random(6))
		w.commit(shallow, "s.txt", "x", "From a shallow clone")
		w.git(shallow, "push", "--quiet", "origin", "HEAD")
		w.git(shallow, "fetch", "--quiet", "--unshallow")
		partial := filepath.Join(w.dir, "p-"+random(6))
		w.git("", "clone", "--quiet", "--filter=blob:none", "--no-checkout", url, partial)
		if got := w.git(partial, "rev-list", "--objects", "--missing=print", "HEAD"); !strings.Contains(got, "?") {
			t.Error("a partial clone is whole")
		}
		w.git(partial, "checkout", "--quiet", "main") // fetches what is missing
	}
}

func TestEmptyUpstream(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"main", "master"} {
		w := bareWorld(t).overHTTPS()
		must(t, os.RemoveAll(w.bare))
		w.git("", "init", "--quiet", "--bare", "--initial-branch="+head, w.bare)
		w.git(w.bare, "config", "http.receivepack", "true")
		w.config.Remotes[0].Refs.Allow = []string{"refs/heads/*"}
		w.start()
		dir := filepath.Join(w.dir, "c")
		w.git("", "clone", "--quiet", w.url(), dir)
		w.git(dir, "checkout", "--quiet", "-B", head)
		w.commit(dir, "ünï ✓/datei name.txt", "x\n", "Erste Ü")
		w.git(dir, "push", "--quiet", "origin", "HEAD:refs/heads/"+head)
		again := filepath.Join(w.dir, "c2")
		w.git("", "clone", "--quiet", w.url(), again)
		if got := w.git(again, "symbolic-ref", "--short", "HEAD"); got != head {
			t.Errorf("HEAD is %s, not %s", got, head)
		}
	}
}

// TestAllOrNothing pushes two refs of which the upstream itself refuses one.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS().start()
	dir := w.clone()
	w.commit(dir, "a", "1", "One")
	hook := filepath.Join(w.bare, "hooks", "update")
	must(t, os.WriteFile(hook, []byte("#!/bin/sh\ncase $1 in *bad) echo 'policy says no to bad' >&2; exit 1;; esac\n"), 0o755))
	before := w.git(w.bare, "for-each-ref")
	out, err := w.try(dir, "push", "origin", "HEAD:refs/heads/agent/good", "HEAD:refs/heads/agent/bad")
	if err == nil || !strings.Contains(out, "policy says no to bad") || !strings.Contains(out, "upstream_refused") {
		t.Errorf("%v\n%s", err, out)
	}
	if after := w.git(w.bare, "for-each-ref"); after != before {
		t.Errorf("the upstream changed:\n%s", after)
	}
	out, err = w.try(dir, "push", "origin", "HEAD:refs/heads/agent/good", "HEAD:refs/heads/main")
	if err == nil || !strings.Contains(out, "ref_not_allowed") || w.git(w.bare, "for-each-ref") != before {
		t.Errorf("%v\n%s", err, out)
	}
	w.git(dir, "push", "--quiet", "origin", "HEAD:refs/heads/agent/good", "HEAD:refs/heads/agent/good2")
}

func TestUpstreamTroubles(t *testing.T) {
	t.Parallel()
	fails := func(t *testing.T, w *world, want ...string) {
		t.Helper()
		began := time.Now()
		out, err := w.try("", "clone", w.url(), filepath.Join(w.dir, "x-"+random(5)))
		if took := time.Since(began); err == nil || took > 15*time.Second {
			t.Errorf("after %s: %v\n%s", took, err, out)
		}
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("%q is missing in:\n%s", text, out)
			}
		}
		if strings.Contains(out, w.token) {
			t.Error("the token is in the error")
		}
		t.Log(strings.TrimSpace(out))
	}
	t.Run("down after it was up", func(t *testing.T) {
		t.Parallel()
		w, s := bareWorld(t).overSSH()
		w.start()
		w.clone()
		must(t, s.cmd.Process.Kill())
		_ = s.cmd.Wait()
		fails(t, w, "upstream_unreachable", s.address)
		dir := filepath.Join(w.dir, "seed")
		if out, err := w.try(dir, "push", w.url(), "HEAD:refs/heads/agent/x"); err == nil || !strings.Contains(out, "upstream_unreachable") {
			t.Errorf("push: %v\n%s", err, out)
		}
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		w, s := bareWorld(t).overSSH()
		must(t, s.cmd.Process.Signal(os.Signal(stopSignal)))
		fails(t, w.start(), "upstream_unreachable")
	})
	t.Run("host key changed", func(t *testing.T) {
		t.Parallel()
		w, s := bareWorld(t).overSSH()
		other := w.startSSH()
		w.config.Remotes[0].KnownHostKey = other.hostKey
		fails(t, w.start(), "host_key_changed", "SHA256:", "known_host_key")
		_ = s
	})
	t.Run("host key missing", func(t *testing.T) {
		t.Parallel()
		w, s := bareWorld(t).overSSH()
		w.config.Remotes[0].KnownHostKey = ""
		fails(t, w.start(), "host_key_missing", "SHA256:", s.hostKey)
	})
	t.Run("host key of another kind", func(t *testing.T) {
		t.Parallel()
		w, _ := bareWorld(t).overSSH()
		key := filepath.Join(w.dir, "rsa")
		must(t, exec.Command("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", key).Run())
		pub, err := os.ReadFile(key + ".pub")
		must(t, err)
		w.config.Remotes[0].KnownHostKey = strings.Join(strings.Fields(string(pub))[:2], " ")
		fails(t, w.start(), "host_key_changed")
	})
	t.Run("key refused", func(t *testing.T) {
		t.Parallel()
		w, _ := bareWorld(t).overSSH()
		w.config.Remotes[0].IdentityFile = w.startSSH().identity
		fails(t, w.start(), "credential_refused", "deploy key")
	})
	t.Run("token refused", func(t *testing.T) {
		t.Parallel()
		w := bareWorld(t).overHTTPS().start()
		w.clone()
		must(t, os.WriteFile(filepath.Join(w.config.SecretsDir, "APP_TOKEN"), []byte("tok-expired-"+random(8)), 0o600))
		fails(t, w, "credential_refused", "token")
	})
	t.Run("certificate unknown", func(t *testing.T) {
		t.Parallel()
		w := bareWorld(t).overHTTPS()
		w.config.UpstreamCA = nil
		fails(t, w.start(), "upstream_untrusted", "extra_ca")
	})
	t.Run("https down", func(t *testing.T) {
		t.Parallel()
		w := bareWorld(t).overHTTPS()
		w.config.Remotes[0].Upstream = "https://" + testkit.FreeAddress(t) + "/x.git"
		fails(t, w.start(), "upstream_unreachable")
	})
	t.Run("no such repository", func(t *testing.T) {
		t.Parallel()
		w := bareWorld(t).overHTTPS()
		w.config.Remotes[0].Upstream = strings.Replace(w.config.Remotes[0].Upstream, "app", "nope", 1)
		fails(t, w.start(), "no repository")
	})
	t.Run("not declared", func(t *testing.T) {
		t.Parallel()
		w := bareWorld(t).overHTTPS().start()
		out, err := w.try("", "clone", "http://"+w.http+"/other.git")
		if err == nil || !strings.Contains(out, "remote_unknown") {
			t.Errorf("%v %s", err, out)
		}
	})
}

func TestBadCredentialsAreRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	locked := func(w *world) string {
		file := filepath.Join(w.dir, "locked")
		must(w.t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "passphrase", "-f", file).Run())
		return file
	}
	for name, tc := range map[string]struct {
		key  func(*world) string
		want string
	}{
		"encrypted": {locked, "is encrypted"},
		"absent":    {func(w *world) string { return filepath.Join(w.dir, "none") }, "cannot read the private key"},
		"a socket":  {func(w *world) string { return "/dev/null" }, "agent's socket"},
		"public":    {func(w *world) string { return locked(w) + ".pub" }, "public key"},
		"rubbish":   {func(w *world) string { return w.file }, "is not a private key"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := bareWorld(t).overSSH()
			w.config.Remotes[0].IdentityFile = tc.key(w)
			w.writeConfig()
			self, err := os.Executable()
			must(t, err)
			out, err := exec.Command(self, "serve", "--config", w.file).CombinedOutput()
			if err == nil || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestCredentialsStayInTheirFiles looks for the token wherever it could have
// been left, while git talks to the upstream and afterwards.
func TestCredentialsStayInTheirFiles(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS().start()
	seen := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(seen)
		for {
			select {
			case <-done:
				return
			default:
			}
			for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
				files, _ := filepath.Glob(pattern)
				for _, f := range files {
					if data, err := os.ReadFile(f); err == nil && strings.Contains(string(data), w.token) {
						seen <- f
						return
					}
				}
			}
		}
	}()
	dir := w.clone()
	w.commit(dir, "a", "1", "One")
	w.git(dir, "push", "--quiet", "origin", "HEAD")
	close(done)
	if f, ok := <-seen; ok {
		t.Errorf("the token is in %s", f)
	}
	for _, place := range []string{w.config.State, w.config.Audit.File, dir} {
		out, _ := exec.Command("grep", "-rl", w.token, place).Output()
		if len(out) > 0 {
			t.Errorf("the token is in %s", out)
		}
	}
	if strings.Contains(w.log.String(), w.token) {
		t.Error("the token is in the log")
	}
}

func TestReloadApprovesAFinding(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS().start()
	dir := w.clone()
	w.commit(dir, "fixture.txt", "token = "+secretToken()+"\n", "A fixture")
	out, err := w.try(dir, "push", "origin", "HEAD")
	if err == nil {
		t.Fatal("the push went through")
	}
	at := strings.Index(out, "gitleaks-allow {")
	line, _, _ := strings.Cut(out[at+len("gitleaks-allow "):], "\n")
	var args struct{ Object, Rule, Path string }
	must(t, unmarshal(strings.TrimSpace(line), &args))
	if args.Path != "fixture.txt" || args.Object != w.git(dir, "rev-parse", "HEAD:fixture.txt") {
		t.Errorf("asked with %+v", args)
	}
	approve := func(object, rule string, until time.Time) {
		before := strings.Count(w.log.String(), `"reloaded"`)
		w.config.Allowances = []wire.GitAllowance{{Object: object, Rule: rule, Expires: wire.At(until)}}
		w.writeConfig()
		for range 300 {
			if strings.Count(w.log.String(), `"reloaded"`) > before {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("no reload")
	}
	approve(args.Object, args.Rule, time.Now().Add(-time.Minute))
	if _, err := w.try(dir, "push", "origin", "HEAD"); err == nil {
		t.Error("an expired approval still holds")
	}
	approve(args.Object, "another-rule", time.Now().Add(time.Hour))
	if _, err := w.try(dir, "push", "origin", "HEAD"); err == nil {
		t.Error("an approval holds for another rule")
	}
	approve(args.Object, args.Rule, time.Now().Add(time.Hour))
	w.git(dir, "push", "--quiet", "origin", "HEAD")
}
