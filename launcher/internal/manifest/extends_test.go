package manifest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

// family are bottles of three generations: child -> (near, far), far -> root.
var family = map[string]string{
	"home/agents/a.md": "---\nbottle: child\n---\n",
	"home/bottles/child.md": `---
extends: [far, near]
env: {A: child, OWN: child}
egress:
  routes:
    - {host: API.example.com, matches: [{path: {prefix: /child}}]}
pipelock: {allow_private: [child.example]}
resources: {pids: 99}
---
`,
	"home/bottles/near.md": `---
env: {A: near, B: near}
egress:
  presets: [npm]
  routes:
    - {host: b.example, matches: [{path: {prefix: /near}}]}
supervise: false
---
`,
	"home/bottles/far.md": `---
extends: [root]
env: {B: far, C: far}
egress:
  presets: [go, pip]
  routes:
    - {host: b.example, matches: [{path: {prefix: /far}}]}
    - {host: b.example, auth: {scheme: Bearer, token_ref: FAR}}
    - {host: "b.example:8443"}
pipelock: {allow: [far.example], allow_private: [far.example]}
---
`,
	"home/bottles/root.md": `---
env: {C: root, D: root}
egress:
  routes:
    - {host: api.example.com, auth: {scheme: Bearer, token_ref: ROOT}}
    - {host: "*.example.com"}
pipelock: {canaries: [BAIT]}
resources: {cpus: 1, pids: 20}
supervise: true
git:
  - {name: app, upstream: https://git.example/app.git}
---
`,
}

func TestExtends(t *testing.T) {
	l, err := place(t, family).Load("a")
	if err != nil {
		t.Fatal(err)
	}
	b := l.Bottle
	env, err := b.ResolveEnv(func(string) (string, bool) { return "", false })
	if want := map[string]string{"A": "child", "OWN": "child", "B": "near", "C": "far", "D": "root"}; err != nil || !maps.Equal(env, want) {
		t.Errorf("env is %v, %v", env, err)
	}
	var routes []string
	for _, r := range b.Routes {
		path := ""
		if len(r.Matches) > 0 {
			path = r.Matches[0].Path.Prefix
		}
		routes = append(routes, r.Host+path)
	}
	if got := strings.Join(routes, " "); got != "*.example.com b.example:8443 b.example/near api.example.com/child" {
		t.Errorf("routes are %s", got)
	}
	if refs := b.TokenRefs(); len(refs) != 0 {
		t.Errorf("tokens of routes that were replaced: %v", refs)
	}
	if !slices.Equal(b.Presets, []string{"npm"}) || !slices.Equal(b.Pipelock.Allow, []string{"far.example"}) ||
		!slices.Equal(b.Pipelock.AllowPrivate, []string{"child.example"}) || !slices.Equal(b.Pipelock.Canaries, []string{"BAIT"}) {
		t.Errorf("presets %v, pipelock %+v", b.Presets, b.Pipelock)
	}
	if b.Resources != (Resources{CPUs: 1, Pids: 99}) || b.Supervise || len(b.Git) != 1 || !slices.Equal(b.Extends, []string{"far", "near"}) {
		t.Errorf("resources %+v, supervise %v, git %v, extends %v", b.Resources, b.Supervise, b.Git, b.Extends)
	}
}

// Whatever is wrong is told where it stands, in the file of the generation that
// said it.
func TestExtendsFaultsHaveTheirOwnPlace(t *testing.T) {
	for name, c := range map[string]struct{ file, old, now, want string }{
		"key":        {"far", "presets:", "prests:", `bottles/far.md:5:3: unknown key "prests"`},
		"host":       {"root", "api.example.com", "10.1.2.3", "bottles/root.md:5:14: "},
		"preset":     {"near", "[npm]", "[nmp]", "bottles/near.md:4:13: unknown preset"},
		"parent":     {"far", "[root]", "[roof]", `bottles/far.md:2:11: the bottle "roof" does not exist`},
		"circle":     {"root", "env:", "extends: [child]\nenv:", "bottles/root.md:2:11: the bottles extend each other in a circle (child -> far -> root -> child)"},
		"child":      {"child", "A: child", "HTTP_PROXY: x", "bottles/child.md:3:19: HTTP_PROXY is set by the bottle itself"},
		"across":     {"child", "OWN: child", "BAIT: child", "bottles/root.md:7:23: BAIT is set in env already"},
		"inherited":  {"root", "D: root", "D: '${D}'", "bottles/root.md:2:19: the environment variable D"},
		"own is far": {"child", "pids: 99", "memory: 1MiB", "bottles/child.md:8:21: memory must be"},
		"old key":    {"near", "supervise: false", "ssh: {}", "bottles/near.md:7:1: the key ssh was retired"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(family)
			path := "home/bottles/" + c.file + ".md"
			files[path] = strings.Replace(files[path], c.old, c.now, 1)
			l, err := place(t, files).Load("a")
			if err == nil {
				_, err = l.Bottle.ResolveEnv(func(string) (string, bool) { return "", false })
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("want an error with %q, got %v", c.want, err)
			}
			var fault *wire.Error
			if !errors.As(err, &fault) {
				t.Errorf("the error has no place: %v", err)
			}
		})
	}
}

// A value of a file that is not the first is named in that file, whatever index
// it has after merging.
func TestExtendsMissingToken(t *testing.T) {
	files := maps.Clone(family)
	files["home/bottles/child.md"] = "---\nextends: [far]\n---\n"
	l, err := place(t, files).Load("a")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Bottle.MissingToken("ROOT", "is not set").Error(); !strings.Contains(got, "bottles/root.md:5:65: ") {
		t.Error(got)
	}
	if got := l.Bottle.MissingToken("FAR", "is not set").Error(); !strings.Contains(got, "bottles/far.md:8:59: ") {
		t.Error(got)
	}
}
