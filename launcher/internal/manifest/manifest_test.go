package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
)

func TestParseBottle(t *testing.T) {
	b, err := ParseBottle("dev", "dev.md", []byte(`---
env:
  TZ: UTC
  PRICE: "$5 and ${HOME} more"
  EDITOR: "${EDITOR}"
  TEXT: |
    two "quoted"
    lines $$
  PORT: 0080
  EMPTY:
egress:
  routes:
    - host: API.Example.com:443
      matches:
        - path: {prefix: /v1/}
          methods: [GET, POST]
      auth: {scheme: Bearer, token_ref: API_TOKEN}
      limits: {max_request_bytes: 10MiB}
    - host: "*.cdn.example.net"
      websocket: true
pipelock:
  allow: [extra.example, "API.example.com"]
  allow_private: [git.corp.example, 10.1.0.0/16, "*.lab.example", 10.2.3.4]
  hosts: {git.corp.example: 10.1.2.3}
resources: {cpus: 1.5, memory: 1GiB, pids: 100}
supervise: false
agent_provider: {template: shell}
---
Documentation with --- in it.
---
`), "/home/op")
	if err != nil {
		t.Fatal(err)
	}
	env, err := b.ResolveEnv(func(k string) (string, bool) { return "vi $x", k == "EDITOR" })
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"TZ": "UTC", "PRICE": "$5 and ${HOME} more", "EDITOR": "vi $x", "TEXT": "two \"quoted\"\nlines $$\n", "PORT": "0080", "EMPTY": "",
	} {
		if got, ok := env[k]; !ok || got != want {
			t.Errorf("%s is %q, not %q", k, got, want)
		}
	}
	if b.Routes[0].Host != "api.example.com" || b.Routes[0].Limits.MaxRequestBytes != 10<<20 {
		t.Errorf("route: %+v", b.Routes[0])
	}
	var hosts []string
	for _, h := range b.Hosts() {
		hosts = append(hosts, h.Host)
	}
	if got := strings.Join(hosts, " "); got != "api.example.com *.cdn.example.net extra.example" {
		t.Errorf("hosts: %s", got)
	}
	if !b.Hosts()[1].WebSocket || b.Hosts()[0].WebSocket {
		t.Errorf("websocket: %+v", b.Hosts())
	}
	if refs := b.TokenRefs(); len(refs) != 1 || refs[0] != "API_TOKEN" {
		t.Errorf("tokens: %v", refs)
	}
	if b.Resources != (Resources{1.5, 1 << 30, 100}) {
		t.Errorf("resources: %+v", b.Resources)
	}
}

func TestBottleRefusals(t *testing.T) {
	route := func(rest string) string { return "egress:\n  routes:\n    - " + rest }
	for name, c := range map[string]struct{ front, want string }{
		"unknown key":      {"egres: {}", `b.md:2:1: unknown key "egres" (did you mean "egress"?)`},
		"nested unknown":   {route("hots: a.example"), `b.md:4:7: unknown key "hots" (did you mean "host"?)`},
		"twice":            {"env: {}\nenv: {}", "b.md:3:1: "},
		"wrong type":       {"egress: []", "b.md:2:9: egress must be a mapping"},
		"cred_proxy":       {"cred_proxy: {a: b}", "b.md:2:1: the key cred_proxy was retired; write each credential on its route"},
		"egress_proxy":     {"egress_proxy: x", "retired; write each allowed host as a route"},
		"tokens":           {"tokens: [A]", "retired; name the token on the route"},
		"ssh":              {"ssh: {}", "the key ssh was retired"},
		"runtime":          {"runtime: runsc", "retired; remove it: the launcher takes runsc by itself"},
		"extends":          {"env: {}\nextends: [base]", "b.md:3:11: the bottle \"base\" does not exist: there is no base.md"},
		"extends a word":   {"extends: base", "extends must be a list"},
		"extends twice":    {"extends: [a, a]", "b.md:2:14: the bottle a stands twice"},
		"extends itself":   {"extends: [b]", "b.md:2:11: the bottles extend each other in a circle (b -> b)"},
		"extends a path":   {"extends: [../b]", "b.md:2:11: \"../b\" is not a name"},
		"preset":           {"egress: {presets: [go, nmp]}", `b.md:2:24: unknown preset "nmp" (did you mean "npm"?)`},
		"far preset":       {"egress: {presets: [brew-cask]}", `unknown preset "brew-cask" (known here: apt, cargo, go, npm, pip)`},
		"preset twice":     {"egress: {presets: [go, go]}", "b.md:2:24: the preset go stands twice"},
		"git name":         {"git: [{name: A, upstream: 'git@h:x'}]", "is not a name"},
		"git key":          {"git: [{name: a, upstream: 'git@h:x'}]", "identity_file is missing"},
		"git typo":         {"git: [{nam: a}]", "did you mean \"name\"?"},
		"git host key":     {"git: [{name: a, upstream: 'git@h:x', identity_file: k, known_host_key: x}]", "ssh-keyscan"},
		"git pattern":      {"git: [{name: a, upstream: 'https://h/x', refs: {allow: [main]}}]", "begins with none of"},
		"git token":        {"git: [{name: a, upstream: 'https://h/x', token_ref: T}]\nenv: {X: '${T}'}", "hand the agent the token"},
		"regex":            {route("host: a.example\n      matches:\n        - path: {regex: '(?=x)'}"), `is not RE2`},
		"a known value":    {"pipelock: {known: [db-pass]}", "b.md:2:20: \"db-pass\" cannot name a variable"},
		"a canary twice":   {"env: {A: b}\npipelock: {canaries: [A]}", "A is set in env already"},
		"a canary's token": {"pipelock: {canaries: [HTTPS_PROXY]}", "HTTPS_PROXY is set by the bottle itself"},
		"an action":        {"pipelock: {actions: [{action: drop}]}", "none of block, redact, warn and ignore"},
		"an action's rule": {"pipelock: {actions: [{rules: [nothing], action: warn}]}", "no rule is called"},
		"an action's host": {"pipelock: {actions: [{hosts: [\"a b\"], action: warn}]}", "pipelock.actions[0]"},
		"a limit":          {"pipelock: {limits: {requests_per_minute: -1}}", "a limit is 0, for none, or more"},
		"provider":         {"agent_provider: {template: cluade}", `b.md:2:28: unknown agent provider "cluade" (did you mean "claude"?)`},
		"dockerfile":       {"agent_provider: {dockerfile: x}", "b.md:2:30: cannot read the Dockerfile x: no such file"},
		"no host":          {route("websocket: true"), "b.md:4:7: the route has no host"},
		"address":          {route("host: 10.0.0.1"), "address literal"},
		"wide":             {route("host: '*.com'"), "b.md:4:13: "},
		"star alone":       {route("host: '*'"), "b.md:4:13: "},
		"method":           {route("host: a.example\n      matches: [{methods: [get]}]"), "b.md:5:28: the method \"get\""},
		"two paths":        {route("host: a.example\n      matches: [{path: {exact: /a, prefix: /b}}]"), "exactly one"},
		"odd path":         {route("host: a.example\n      matches: [{path: {prefix: /a/../b}}]"), "dot segment"},
		"token_ref":        {route("host: a.example\n      auth: {scheme: Bearer, token_ref: a-b}"), "b.md:5:41: token_ref"},
		"scheme":           {route("host: a.example\n      auth: {scheme: bearer, token_ref: A}"), "unknown scheme"},
		"size":             {route("host: a.example\n      limits: {max_request_bytes: 10MB}"), "size \"10MB\""},
		"allow":            {"pipelock: {allow: ['a b']}", "b.md:2:20: "},
		"private":          {"pipelock: {allow_private: [10.1.2.3/16]}", "write 10.1.0.0/16"},
		"private name":     {"pipelock: {allow_private: ['a_b!']}", "neither a host name"},
		"pin":              {"pipelock: {hosts: {a.example: b.example}}", `"b.example" is not an IP address`},
		"pin name":         {"pipelock: {hosts: {10.1.1.1: 10.1.1.1}}", "address literal"},
		"extra_ca":         {"pipelock: {extra_ca: nowhere.pem}", "b.md:2:22: cannot read the file of further roots"},
		"cpus":             {"resources: {cpus: -1}", "b.md:2:19: cpus"},
		"memory":           {"resources: {memory: 1MiB}", "at least 64MiB"},
		"pids":             {"resources: {pids: 2}", "at least 16"},
		"proxy":            {"env: {HTTPS_PROXY: x}", "b.md:2:20: HTTPS_PROXY is set by the bottle itself"},
		"proxy lower":      {"env: {all_proxy: x}", "set by the bottle itself"},
		"proxy mixed":      {"env: {No_Proxy: x}", "set by the bottle itself"},
		"trust":            {"env: {SSL_CERT_FILE: x}", "set by the bottle itself"},
		"trust off":        {"env: {NODE_TLS_REJECT_UNAUTHORIZED: '0'}", "set by the bottle itself"},
		"asked":            {"env: {P: '?'}", "the question behind \"?\" is empty"},
		"asked token":      {"env: {TOK: '?Token'}\n" + route("host: a.example\n      auth: {scheme: Bearer, token_ref: TOK}"), "TOK is the name of a token"},
		"token proxy":      {route("host: a.example\n      auth: {scheme: Bearer, token_ref: HTTPS_PROXY}"), "HTTPS_PROXY is set by the bottle itself"},
		"env name":         {"env: {A-B: x}", "cannot name"},
		"env NUL":          {`env: {A: "a\0b"}`, "NUL"},
		"env token":        {"env: {A: '${TOK}'}\n" + route("host: a.example\n      auth: {scheme: Bearer, token_ref: TOK}"), "b.md:2:10: A would hand the agent the token TOK"},
		"anchor":           {"env: &x {}", "anchors"},
		"broken yaml":      {"env: {", "not valid YAML"},
		"tag":              {"env: !!binary x", ""},
		"a bottle's skill": {"skills: [x]", `b.md:2:1: unknown key "skills": it belongs into the agent's file (agents/*.md)`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseBottle("b", "b.md", []byte("---\n"+c.front+"\n---\n"), "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("want an error with %q, got %v", c.want, err)
			}
			var fault *wire.Error
			if !errors.As(err, &fault) || fault.Line < 2 {
				t.Errorf("the error has no place: %v", err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestAgentRefusals(t *testing.T) {
	for front, want := range map[string]string{
		"":                            "names no bottle",
		"botle: dev":                  `did you mean "bottle"?`,
		"bottle: ../dev":              "a.md:2:9: \"../dev\" is not a name",
		"bottle: dev\nskills: review": "a.md:3:9: skills must be a list",
		"bottle: dev\ngit_user: {}":   "a.md:3:11: git_user.name is missing; write git_user: {name: ..., email: ...}",
		"bottle: dev\nenv: {A: b}":    `unknown key "env": it belongs into the bottle's file (bottles/*.md)`,
		"bottle: dev\ngit_user: {name: 'A\n\n  B', email: a@b}": "git_user.name has an angle bracket or a line end",
		"bottle: dev\ngit_user: {name: A, email: '<a@b>'}":      "git_user.email has an angle bracket",
		"bottle: dev\ngit_user: {name: A, email: a}":            "is not an address",
		"bottle: dev\negress: {}":                               `unknown key "egress"`,
		"bottle: dev\npipelock: {}":                             `unknown key "pipelock"`,
		"bottle: dev\ntokens: [A, B, C]":                        "retired",
	} {
		_, _, err := ParseAgent("a", "a.md", []byte("---\n"+front+"\n---\nprompt\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want an error with %q, got %v", front, want, err)
		}
	}
}

func TestResolveEnvNamesTheMissingVariable(t *testing.T) {
	b, err := ParseBottle("b", "b.md", []byte("---\nenv:\n  A: x\n  EDITOR: \"${VISUAL}\"\n---\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.ResolveEnv(func(string) (string, bool) { return "", false })
	if err == nil || !strings.HasPrefix(err.Error(), "b.md:4:11: the environment variable VISUAL") {
		t.Errorf("got %v", err)
	}
}

func TestPlaceholders(t *testing.T) {
	b, err := ParseBottle("b", "b.md", []byte(`---
env: {OWN: mine, A: b}
egress:
  routes:
    - {host: a.example, auth: {scheme: Bearer, token_ref: TOK}}
    - {host: b.example, auth: {scheme: Bearer, token_ref: OWN}}
---
`), "")
	if err != nil {
		t.Fatal(err)
	}
	env, err := b.ResolveEnv(func(string) (string, bool) { return "the real one", true })
	if err != nil || len(env) != 3 || env["TOK"] != "bottle-placeholder-TOK" || env["OWN"] != "mine" || env["A"] != "b" {
		t.Errorf("got %v, %v", env, err)
	}
	if got := b.Placeholders(); !slices.Equal(got, []string{"TOK"}) {
		t.Errorf("placeholders are %v", got)
	}
}

func TestMissingToken(t *testing.T) {
	b, err := ParseBottle("b", "b.md", []byte("---\negress:\n  routes:\n    - host: a.example\n      auth: {scheme: Bearer, token_ref: TOK}\n---\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.MissingToken("TOK", "is not set").Error(); got != "b.md:5:41: the environment variable TOK, the token for a.example, is not set" {
		t.Error(got)
	}
}

// place lays out files below a directory: home/... and cwd/....
func place(t *testing.T, files map[string]string) Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Source{Home: bottle.Home{Dir: filepath.Join(dir, "home")}, Cwd: filepath.Join(dir, "cwd"), UserHome: dir}
}

func TestLoad(t *testing.T) {
	s := place(t, map[string]string{
		"home/bottles/dev.md":            "---\nenv: {A: b}\n---\n",
		"home/agents/mine.md":            "---\nbottle: dev\n---\n\nDo it.\n\n",
		"home/agents/lost.md":            "---\nbottle: dve\n---\n",
		"cwd/.bottle/agents/mine.md":     "---\nbottle: dev\n---\nEvil twin.\n",
		"cwd/.bottle/agents/theirs.md":   "---\nbottle: dev\n---\nTheirs.\n",
		"cwd/.bottle/agents/own.md":      "---\nbottle: planted\n---\n",
		"cwd/.bottle/bottles/planted.md": "---\negress: {routes: [{host: evil.example}]}\n---\n",
		"cwd/.bottle/bottles/dev.md":     "---\negress: {routes: [{host: evil.example}]}\n---\n",
		"secret.md":                      "---\nbottle: dev\n---\nprivate\n",
	})
	if err := os.Symlink("../../../secret.md", filepath.Join(s.Cwd, ".bottle/agents/link.md")); err != nil {
		t.Fatal(err)
	}
	l, err := s.Load("mine")
	if err != nil {
		t.Fatal(err)
	}
	if l.Agent.Prompt != "Do it.\n" || l.Bottle.Env[0].Name != "A" || len(l.Bottle.Routes) != 0 {
		t.Errorf("got %+v, %+v", l.Agent, l.Bottle)
	}
	if w := strings.Join(l.Warnings, "|"); len(l.Warnings) != 2 || !strings.Contains(w, "bottles is ignored") || !strings.Contains(w, "same name") {
		t.Errorf("warnings: %s", w)
	}
	if l, err := s.Load("theirs"); err != nil || l.Agent.Prompt != "Theirs.\n" {
		t.Errorf("an agent of the working directory: %v", err)
	}
	for name, want := range map[string]string{
		"own":   `agents/own.md:2:9: the bottle "planted" does not exist`,
		"lost":  `agents/lost.md:2:9: the bottle "dve" does not exist: there is no ` + s.Home.Bottles() + "/dve.md; there is dev",
		"none":  `the agent "none" does not exist`,
		"link":  "a plain file, not a link",
		"../x":  "is not a name",
		"Mine":  "is not a name",
		"mine ": "is not a name",
	} {
		if _, err := s.Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want an error with %q, got %v", name, want, err)
		}
	}
}

// A link above the file leads out of the repository as well as the file itself
// could.
func TestLoadFollowsNoDirectoryLink(t *testing.T) {
	for _, link := range []string{"cwd/.bottle", "cwd/.bottle/agents"} {
		s := place(t, map[string]string{
			"home/bottles/dev.md":   "---\n---\n",
			"else/theirs.md":        "---\nbottle: dev\n---\nprivate\n",
			"else/agents/theirs.md": "---\nbottle: dev\n---\nprivate\n",
		})
		path := filepath.Join(s.UserHome, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(s.UserHome, "else"), path); err != nil {
			t.Fatal(err)
		}
		if l, err := s.Load("theirs"); err == nil || !strings.Contains(err.Error(), path+": the agents of a repository must lie in plain directories") {
			t.Errorf("%s: %v, %v", link, l, err)
		}
	}
}

// Where the working directory is the user's own home, .bottle is no repository's.
func TestLoadInTheUsersHome(t *testing.T) {
	s := place(t, map[string]string{
		".bottle/bottles/dev.md": "---\n---\n",
		".bottle/agents/mine.md": "---\nbottle: dev\n---\n",
	})
	s.Cwd = filepath.Dir(s.Cwd)
	s.Home.Dir = filepath.Join(s.Cwd, ".bottle")
	l, err := s.Load("mine")
	if err != nil || len(l.Warnings) != 0 {
		t.Errorf("%v, %v", l, err)
	}
}
