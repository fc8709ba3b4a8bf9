package preset

import (
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/route"
)

// harmless holds a preset against what must be true of any: its routes compile
// and only read, and nothing that reaches the agent holds the user information
// of a URL or leaves its line.
func harmless(t *testing.T, p *Preset, err error) {
	if err != nil {
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error tells the password: %v", err)
		}
		return
	}
	p.Sites = unique(p.Sites)
	if _, err := route.Compile(p.Routes()); err != nil {
		t.Errorf("the routes do not compile: %v", err)
	}
	for _, r := range p.Routes() {
		if len(r.Matches) != 1 || strings.Join(r.Matches[0].Methods, " ") != "GET HEAD" || r.Auth != nil {
			t.Errorf("more than reading: %+v", r)
		}
	}
	for k, v := range p.Env {
		if strings.Contains(v, "://u:s3cret@") || strings.ContainsAny(v, "\n\x00") {
			t.Errorf("%s=%q", k, v)
		}
	}
	for k, v := range p.Files {
		if strings.Contains(string(v), "://u:s3cret@") {
			t.Errorf("%s holds the password:\n%s", k, v)
		}
	}
}

func FuzzNPM(f *testing.F) {
	f.Add("registry = \"https://u:s3cret@npm.example/a/\"\n@a:registry = \"http://x.example:81\" ; overridden\n")
	f.Add("; registry = \"x\"\nregistry = (protected)\n")
	f.Fuzz(func(t *testing.T, config string) {
		p, err := readNPM(config)
		harmless(t, p, err)
		if err == nil && strings.Count(string(p.Files["npmrc"]), "\n") > strings.Count(config, "\n")+1 {
			t.Errorf("one line became several:\n%s", p.Files["npmrc"])
		}
	})
}

func FuzzGo(f *testing.F) {
	f.Add("https://u:s3cret@a.example/x,direct|off", "sum.example+k= https://u:s3cret@b.example", "*.corp")
	f.Add("file:///x", "off", "")
	f.Fuzz(func(t *testing.T, proxies, sum, private string) {
		p := &Preset{Env: map[string]string{}}
		err := p.readGOPROXY(proxies)
		if err == nil {
			err = p.readGOSUMDB(sum)
		}
		harmless(t, p, err)
	})
}

func FuzzPip(f *testing.F) {
	f.Add("[global]\nindex-url = https://u:s3cret@pip.example/root/simple\nextra-index-url:\n  https://a.example\n")
	f.Add("[install]\nindex_url=http://a.example\ntrusted-host = a.example\n;x\n")
	f.Fuzz(func(t *testing.T, ini string) {
		var c pipConfig
		c.read("pip.conf", ini)
		p, err := c.preset()
		harmless(t, p, err)
	})
}

func FuzzAptSources(f *testing.F) {
	f.Add("deb [signed-by=ABCD arch=amd64] https://u:s3cret@a.example/d s main\n")
	f.Add("Types: deb\nURIs: http://u:s3cret@a.example/d\nSuites: s\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, read := range []func(string, string) []aptSource{readOneLine, readDeb822} {
			p := &Preset{Files: map[string][]byte{}}
			keys := &aptKeys{m: fake{}.machine(), p: p, places: map[string]string{}}
			var list strings.Builder
			var err error
			for _, s := range read("sources", text) {
				if err = p.addSource(s, keys, &list); err != nil {
					break
				}
			}
			p.Files["list"] = []byte(list.String())
			harmless(t, p, err)
			// What is written reads back as the same number of sources.
			if err == nil && strings.Count(list.String(), "Types: deb\n") < len(readDeb822("list", list.String())) {
				t.Errorf("reads back as more:\n%s", list.String())
			}
		}
	})
}

func FuzzCargo(f *testing.F) {
	f.Add("[source.crates-io]\nreplace-with = \"m\"\n[source.m]\nregistry = \"sparse+https://u:s3cret@a.example/i/\"\n[registries.\"x y\"]\nindex = \"sparse+https://b.example\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := readCargo("config.toml", []byte(text))
		harmless(t, p, err)
	})
}
