package preset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/route"
)

// fake is a machine made of texts.
type fake struct {
	env   map[string]string
	out   map[string]string // by command line
	files map[string]string
	names map[string]string // addresses; 192.0.0.9 stands for none
}

func (f fake) machine() *Machine {
	return &Machine{
		Getenv: func(name string) string { return f.env[name] },
		Run: func(_ context.Context, name string, args ...string) ([]byte, error) {
			out, ok := f.out[strings.Join(append([]string{name}, args...), " ")]
			if !ok {
				return nil, ErrNoClient
			}
			return []byte(out), nil
		},
		ReadFile: func(name string) ([]byte, error) {
			data, ok := f.files[name]
			if !ok {
				return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
			}
			return []byte(data), nil
		},
		Glob: func(pattern string) ([]string, error) {
			var found []string
			for name := range f.files {
				if ok, err := filepath.Match(pattern, name); ok && err == nil {
					found = append(found, name)
				}
			}
			return found, nil
		},
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			a, ok := f.names[host]
			if !ok {
				a = "8.8.8.8"
			}
			if a == "none" {
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr(a)}, nil
		},
	}
}

const (
	askNPM = "npm config ls -l"
	askGo  = "go env -json GOPROXY GOSUMDB GONOSUMDB GONOPROXY GOPRIVATE"
)

// told is a preset in lines: its sites, variables, files and notes.
func told(p *Preset) string {
	var b strings.Builder
	for _, s := range p.Sites {
		fmt.Fprintf(&b, "site %s%s", s.Host, s.Path)
		for _, w := range []struct {
			is   bool
			word string
		}{{s.EncodedSlash, " slash"}, {s.Plain, " plain"}, {s.Credential, " credential"}} {
			if w.is {
				b.WriteString(w.word)
			}
		}
		b.WriteString("\n")
	}
	for _, k := range slices.Sorted(maps.Keys(p.Env)) {
		fmt.Fprintf(&b, "%s=%s\n", k, p.Env[k])
	}
	for _, k := range slices.Sorted(maps.Keys(p.Files)) {
		fmt.Fprintf(&b, "-- %s\n%s\n", k, strings.TrimSpace(string(p.Files[k])))
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

func TestPresets(t *testing.T) {
	const quiet = "NPM_CONFIG_AUDIT=false\nNPM_CONFIG_FUND=false\n"
	for name, c := range map[string]struct {
		preset string
		fake
		want string
	}{
		"npm": {"npm", fake{out: map[string]string{askNPM: "; \"default\" config\n; registry = \"https://old.example/\" ; overridden by user\n" +
			"; \"user\" config\nregistry = \"https://npm.example/\" \n//npm.example/:_authToken = (protected)\n"}},
			"site npm.example slash\n" + quiet + "NPM_CONFIG_REGISTRY=https://npm.example/\nNPM_CONFIG_UPDATE_NOTIFIER=false\n"},
		"npm with a scope": {"npm", fake{out: map[string]string{askNPM: "registry = \"https://npm.example/api/npm/all/\"\n@acme:registry = \"https://me:***@own.example:8443/npm/\"\n"}},
			"site npm.example/api/npm/all slash\nsite own.example:8443/npm slash credential\n" + quiet +
				"NPM_CONFIG_GLOBALCONFIG=/etc/bottle/clients/npmrc\nNPM_CONFIG_REGISTRY=https://npm.example/api/npm/all/\nNPM_CONFIG_UPDATE_NOTIFIER=false\n" +
				"-- npmrc\n@acme:registry=https://own.example:8443/npm/\n"},
		"go": {"go", fake{out: map[string]string{askGo: `{"GOPROXY":"https://proxy.example,direct","GOSUMDB":"sum.example"}`}},
			"site proxy.example\nsite sum.example\nGOPROXY=https://proxy.example\nGOSUMDB=sum.example\n" +
				"note: direct, in GOPROXY, was left out: a module that no proxy has would come from its own host, which needs a route\n"},
		"go with all of it": {"go", fake{out: map[string]string{askGo: `{"GOPROXY":"https://u:p@a.example/go|https://b.example/x/,https://c.example,off,https://d.example","GOSUMDB":"sum.example+1234+abc= https://a.example/sum","GONOSUMDB":"*.corp.example","GOPRIVATE":"git.corp.example"}`}},
			"site a.example/go credential\nsite b.example/x\nsite c.example\nsite a.example/sum\n" +
				"GONOSUMDB=*.corp.example\nGOPRIVATE=git.corp.example\nGOPROXY=https://a.example/go|https://b.example/x/,https://c.example\nGOSUMDB=sum.example+1234+abc= https://a.example/sum\n" +
				"note: modules of GOPRIVATE (git.corp.example) come from their own hosts, which need routes\n"},
		"go without checksums": {"go", fake{out: map[string]string{askGo: `{"GOPROXY":"https://a.example","GOSUMDB":"off"}`}},
			"site a.example\nGOPROXY=https://a.example\nGOSUMDB=off\nnote: GOSUMDB is off here, so the bottle does not verify checksums either\n"},
		"pip from variables": {"pip", fake{env: map[string]string{"PIP_INDEX_URL": "https://pip.example/simple/", "PIP_EXTRA_INDEX_URL": "https://a.example/root/x/+simple https://u@b.example/packages"}},
			"site pip.example\nsite a.example/root/x\nsite b.example/packages credential\nPIP_DISABLE_PIP_VERSION_CHECK=1\nPIP_EXTRA_INDEX_URL=https://a.example/root/x/+simple https://b.example/packages\nPIP_INDEX_URL=https://pip.example/simple/\nPIP_NO_INPUT=1\n"},
		"pip from files": {"pip", fake{env: map[string]string{"HOME": "/h"}, files: map[string]string{
			"/etc/pip.conf":           "[global]\nindex_url = https://no.example/simple\n[install]\nextra-index-url:\n  https://one.example/simple\n  # not this\n  https://two.example/simple\n",
			"/h/.config/pip/pip.conf": "; mine\n[global]\nindex-url = http://pip.example:8080/simple\nextra-index-url = https://weak.example\ntrusted-host = pip.example other.example\n[search]\nindex-url = https://search.example\n"}},
			"site pip.example:8080 plain\nsite one.example\nsite two.example\nPIP_DISABLE_PIP_VERSION_CHECK=1\nPIP_EXTRA_INDEX_URL=https://one.example/simple https://two.example/simple\nPIP_INDEX_URL=http://pip.example:8080/simple\nPIP_NO_INPUT=1\nPIP_TRUSTED_HOST=pip.example\n"},
		"pip by its default": {"pip", fake{out: map[string]string{"python3 -c " + askPip: "https://index.example/simple files.example\n"}},
			"site index.example\nsite files.example\nPIP_DISABLE_PIP_VERSION_CHECK=1\nPIP_INDEX_URL=https://index.example/simple\nPIP_NO_INPUT=1\n"},
		"cargo": {"cargo", fake{env: map[string]string{"HOME": "/h"}, files: map[string]string{"/h/.cargo/config.toml": `
[build]
jobs = 2
[source.crates-io]
replace-with = "mirror"
[source.mirror]
registry = "sparse+https://cargo.example/index/"
[source.vendored]
directory = "vendor"
[registries.mine]
index = "sparse+https://u:p@own.example/i/"
token = "s3cret"
[registries.old]
index = "https://git.example/index.git"
`}},
			"site cargo.example/index\nsite own.example/i credential\n-- cargo/config.toml\n[source]\n  [source.crates-io]\n    replace-with = \"mirror\"\n  [source.mirror]\n    registry = \"sparse+https://cargo.example/index/\"\n\n[registries]\n  [registries.mine]\n    index = \"sparse+https://own.example/i/\"\n" +
				"note: the registry old of /h/.cargo/config.toml was left out: its index is in git, and a bottle reads sparse+https:// ones\n" +
				"note: crates themselves may come from other hosts than the index of cargo.example, which then need routes\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Resolve(t.Context(), c.preset, c.machine())
			if err != nil {
				t.Fatal(err)
			}
			if got := told(p); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if _, err := route.Compile(p.Routes()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	npmSays := func(s string) fake { return fake{out: map[string]string{askNPM: s}} }
	goSays := func(s string) fake {
		return fake{out: map[string]string{askGo: `{"GOSUMDB":"off","GOPROXY":"` + s + `"}`}}
	}
	for name, c := range map[string]struct {
		preset string
		fake
		want string
	}{
		"no such preset":      {"gem", fake{}, `there is no preset "gem"`},
		"npm is missing":      {"npm", fake{}, "npm cannot be asked for its registry: it is not installed"},
		"npm is silent":       {"npm", npmSays("fund = true\n"), "npm has no registry; set one with"},
		"npm keeps it":        {"npm", npmSays("registry = (protected)\n"), "npm does not tell its registry; `npm config ls -l` shows"},
		"npm's odd scope":     {"npm", npmSays("registry = \"https://a.example\"\n@a\\nb:registry = \"https://b.example\"\n"), "is not a scope"},
		"no URL":              {"npm", npmSays("registry = \"secret\"\n"), "what npm's registry names is not a URL that a bottle can reach"},
		"another scheme":      {"npm", npmSays("registry = \"ftp://u:secret@a.example\"\n"), "must be http or https"},
		"a broken URL":        {"npm", npmSays("registry = \"https://u:secret@a.example:x/\"\n"), "is not a URL"},
		"a query":             {"npm", npmSays("registry = \"https://a.example/?token=secret\"\n"), "without query"},
		"an address":          {"npm", npmSays("registry = \"https://u:secret@10.0.0.1/\"\n"), "address literal"},
		"a path of two minds": {"npm", npmSays("registry = \"https://u:secret@a.example/x/../y\"\n"), "dot segment"},
		"only direct":         {"go", goSays("direct"), "GOPROXY names no proxy here"},
		"off":                 {"go", goSays("off"), "GOPROXY names no proxy here"},
		"a directory":         {"go", goSays("https://a.example,file:///srv/secret"), "what GOPROXY names is a directory of this machine"},
		"GOSUMDB":             {"go", fake{out: map[string]string{askGo: `{"GOPROXY":"https://a.example","GOSUMDB":"a b c"}`}}, `is not of the form "name+key url"`},
		"go says no JSON":     {"go", fake{out: map[string]string{askGo: "go: broken"}}, "something else than JSON"},
		"pip has nothing":     {"pip", fake{}, "pip names no index here; set one with"},
		"cargo has nothing":   {"cargo", fake{env: map[string]string{"HOME": "/h"}}, "there is no /h/.cargo/config.toml"},
		"cargo names nothing": {"cargo", fake{env: map[string]string{"CARGO_HOME": "/c"}, files: map[string]string{"/c/config.toml": "[build]\n"}}, "/c/config.toml names no registry"},
		"cargo is broken":     {"cargo", fake{env: map[string]string{"CARGO_HOME": "/c"}, files: map[string]string{"/c/config.toml": "token = 'secret"}}, "/c/config.toml is not valid TOML"},
		"apt has nothing":     {"apt", fake{}, "apt has no source over http or https"},
		"apt's key is gone": {"apt", fake{files: map[string]string{"/etc/apt/sources.list": "deb [signed-by=/k.gpg] https://a.example/d s main\n"}},
			"cannot read the keyring that /etc/apt/sources.list names"},
		"loopback": {"npm", fake{out: npmSays("registry = \"http://localhost:4873\"\n").out, names: map[string]string{"localhost": "127.0.0.1"}},
			"localhost, which npm's registry names, leads to 127.0.0.1, a loopback address"},
		"metadata": {"npm", fake{out: npmSays("registry = \"http://a.example\"\n").out, names: map[string]string{"a.example": "169.254.169.254"}}, "link-local address"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Resolve(t.Context(), c.preset, c.machine())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("want an error with %q, got %v, %+v", c.want, err, p)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error tells too much: %v", err)
			}
		})
	}
}

// Only a site that is private here may be private in the bottle.
func TestPrivateSites(t *testing.T) {
	f := fake{
		out:   map[string]string{askNPM: "registry = \"https://public.example/\"\n@a:registry = \"https://inner.example/\"\n@b:registry = \"https://gone.example/\"\n"},
		names: map[string]string{"inner.example": "10.1.2.3", "gone.example": "none"},
	}
	p, err := Resolve(t.Context(), "npm", f.machine())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range p.Sites {
		got[s.Host] = s.Private
	}
	if want := map[string]string{"public.example": "", "inner.example": "10.1.2.3", "gone.example": ""}; !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if len(p.Notes) != 1 || !strings.HasPrefix(p.Notes[0], "gone.example has no address here") {
		t.Errorf("notes: %q", p.Notes)
	}
}

func TestRoutesReadOnly(t *testing.T) {
	f := fake{out: map[string]string{askNPM: "registry = \"https://npm.example/api/\"\n"}}
	p, err := Resolve(t.Context(), "npm", f.machine())
	if err != nil {
		t.Fatal(err)
	}
	table, err := route.Compile(p.Routes())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		taken        bool
	}{
		{"GET", "/api/@scope%2Fname", true}, {"HEAD", "/api/x", true}, {"GET", "/api", true},
		{"PUT", "/api/x", false}, {"POST", "/api/-/v1/login", false}, {"OPTIONS", "/api/x", false}, {"GET", "/apix", false}, {"GET", "/", false},
	} {
		if r := table.Match(c.method, "npm.example", "443", c.path, nil); (r.Reason == "") != c.taken {
			t.Errorf("%s %s: %+v", c.method, c.path, r)
		}
	}
}
