package gitremote

import (
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

func TestParse(t *testing.T) {
	for raw, want := range map[string]string{
		"ssh://git@Host.example:2222/group/app.git": "ssh://git@host.example:2222/group/app.git",
		"ssh://host.example/app":                    "ssh://host.example/app",
		"git@github.com:group/app.git":              "git@github.com:group/app.git",
		"git@github.com:/group/app.git/":            "ssh://git@github.com/group/app.git",
		"https://host.example/group/app.git":        "https://host.example/group/app.git",
		"https://bot@host.example:8443/app":         "https://host.example:8443/app",
	} {
		u, err := Parse(raw)
		if err != nil || u.URL() != want {
			t.Errorf("%s became %q, %v; want %q", raw, u.URL(), err, want)
		}
	}
	for _, raw := range []string{
		"", "app", "file:///etc", "ext::sh -c x", "http://h/x", "https://h", "https://u:p@h/x", "https://h/x?y", "https://h/x#y",
		"ssh://-oProxyCommand=x/y", "git@-oProxyCommand=x:y", "git@h:-x", "https://h/a/../b", "https://h//b", "ssh://h:0/x", "ssh://h/a b", "https://h/%2e",
		"git@h:", "https://h/x\ny", "ssh://a@b@c/x",
	} {
		if u, err := Parse(raw); err == nil {
			t.Errorf("%q was taken for %+v", raw, u)
		}
	}
}

func TestSpellings(t *testing.T) {
	u, err := Parse("git@github.com:group/app.git")
	if err != nil {
		t.Fatal(err)
	}
	got := u.Spellings()
	for _, want := range []string{
		"git@github.com:group/app.git", "git@github.com:group/app", "github.com:group/app", "ssh://git@github.com/group/app.git",
		"ssh://git@github.com:22/group/app", "https://github.com/group/app", "https://github.com/group/app.git", "git://github.com/group/app",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
	u, _ = Parse("ssh://git@host:2222/app.git")
	for _, s := range u.Spellings() {
		if s == "git@host:app" {
			t.Error("a scp-like spelling leaves the port out, so it names another server")
		}
	}
}

func TestValidate(t *testing.T) {
	ssh := wire.GitRemote{Name: "app", Upstream: "git@h:app", IdentityFile: "/k", Refs: wire.GitRefs{Allow: []string{"refs/heads/agent/*"}}}
	for field, change := range map[string]func(*wire.GitRemote){
		"name":           func(r *wire.GitRemote) { r.Name = "../x" },
		"upstream":       func(r *wire.GitRemote) { r.Upstream = "x" },
		"identity_file":  func(r *wire.GitRemote) { r.IdentityFile = "" },
		"token_ref":      func(r *wire.GitRemote) { r.TokenRef = "T" },
		"refs.allow[0]":  func(r *wire.GitRemote) { r.Refs.Allow = []string{"main"} },
		"refs.tags":      func(r *wire.GitRemote) { r.Refs.Tags = "yes" },
		"known_host_key": func(r *wire.GitRemote) { r.Upstream, r.IdentityFile, r.KnownHostKey = "https://h/x", "", "k" },
		"limits":         func(r *wire.GitRemote) { r.Limits.MaxRefs = -1 },
		"":               func(*wire.GitRemote) {},
	} {
		r := ssh
		change(&r)
		if got, err := Validate(r); got != field || (err == nil) != (field == "") {
			t.Errorf("want %q, got %q, %v", field, got, err)
		}
	}
	if i, field, err := ValidateAll([]wire.GitRemote{ssh, {Name: "b", Upstream: "git@h:app.git", IdentityFile: "/k"}}); i != 1 || field != "upstream" {
		t.Errorf("one upstream under two names: %d %q %v", i, field, err)
	}
}

func TestCheckRef(t *testing.T) {
	for _, good := range []string{"refs/heads/main", "refs/tags/v1.0", "refs/heads/agent/ü-✓", "refs/notes/commits"} {
		if err := CheckRef(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"main", "HEAD", "refs/heads/", "refs/heads", "refs/pull/1/head", "refs/heads/../main", "refs/heads/a..b", "refs/heads/.a", "refs/heads/a.lock",
		"refs/heads/a//b", "refs/heads/a/", "refs/heads/a b", "refs/heads/a\x00", "refs/heads/a\x7f", "refs/heads/a@{1}", "refs/heads/a~1", "refs/heads/a^",
		"refs/heads/-x", "refs/heads/a:b", "refs/heads/a*", "refs/heads/a.", "refs/heads/\xff", "refs/heads/a\u202eb", "refs/heads/a\u200bb", "refs/heads/refs/heads/x",
		"refs/heads/HEAD", "refs/replace/0123", "refs/heads/" + strings.Repeat("x", 300), "refs/heads/a\nb",
	} {
		if CheckRef(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ssh://git@h:22/a/b.git")
	f.Add("git@h:a")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := Parse(u.URL())
		if err != nil && !strings.Contains(u.Path, "~") || strings.ContainsAny(u.URL(), " \n\r\x00\"'`$;&|<>?#%") || strings.HasPrefix(u.Host, "-") {
			t.Errorf("%q became %q, %+v, %v", raw, u.URL(), again, err)
		}
	})
}
