package provider

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestFilesAreWhatTheyWere renders each provider's files for a bottle that has
// everything, and for one that has nothing.
func TestFilesAreWhatTheyWere(t *testing.T) {
	full := Guest{Prompt: "You review.\nSay \"no\" with a reason.\n", MCP: MCP, Env: map[string]string{
		"ANTHROPIC_API_KEY": secret.Placeholder("ANTHROPIC_API_KEY"), "OPENAI_API_KEY": secret.Placeholder("OPENAI_API_KEY"),
	}}
	for _, name := range Names() {
		for kind, guest := range map[string]Guest{"full": full, "bare": {}} {
			p, err := Find(name)
			if err != nil {
				t.Fatal(err)
			}
			files, err := p.Files(guest)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, file := range slices.Sorted(maps.Keys(files)) {
				got.WriteString("-- " + file + " --\n")
				got.Write(files[file])
				if strings.HasSuffix(file, ".json") && !json.Valid(files[file]) {
					t.Errorf("%s, %s: %s is no JSON", name, kind, file)
				}
			}
			golden(t, name+"-"+kind+".txt", got.Bytes())
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run go test -update and read the diff. Got:\n%s", file, got)
	}
}

func TestFind(t *testing.T) {
	if _, err := Find("cluade"); err == nil || !strings.Contains(err.Error(), "claude") {
		t.Errorf("got %v", err)
	}
	p, err := Find("claude")
	if err != nil {
		t.Fatal(err)
	}
	if argv := p.Ask("two words; $(x)"); argv[len(argv)-1] != "two words; $(x)" || p.Headless[len(p.Headless)-1] != promptWord {
		t.Errorf("asked by %q", argv)
	}
}

func TestPlaceholder(t *testing.T) {
	key := func(ref string) wire.Route {
		return wire.Route{Host: "api.anthropic.com", Auth: &wire.Auth{Scheme: "header", Header: "X-Api-Key", TokenRef: ref}}
	}
	bearer := func(ref string) wire.Route {
		return wire.Route{Host: "api.anthropic.com", Auth: &wire.Auth{Scheme: "Bearer", TokenRef: ref}}
	}
	other := wire.Route{Host: "other.example", Auth: &wire.Auth{Scheme: "Bearer", TokenRef: "X"}}
	for name, c := range map[string]struct {
		routes          []wire.Route
		variable, value string
		served          bool
	}{
		"nothing":            {nil, "", "", false},
		"another host":       {[]wire.Route{other}, "", "", false},
		"by its name":        {[]wire.Route{key("ANTHROPIC_API_KEY")}, "", "", true},
		"a key":              {[]wire.Route{other, key("MINE")}, "ANTHROPIC_API_KEY", secret.PlaceholderPrefix + "MINE", true},
		"a subscription":     {[]wire.Route{bearer("MINE")}, "CLAUDE_CODE_OAUTH_TOKEN", secret.PlaceholderPrefix + "MINE", true},
		"a name beats a key": {[]wire.Route{key("MINE"), bearer("ANTHROPIC_AUTH_TOKEN")}, "", "", true},
	} {
		p, err := Find("claude")
		if err != nil {
			t.Fatal(err)
		}
		variable, value, served := p.Placeholder(c.routes)
		if variable != c.variable || value != c.value || served != c.served {
			t.Errorf("%s: got %q, %q, %v", name, variable, value, served)
		}
	}
	shell, err := Find(Default)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, served := shell.Placeholder(nil); !served {
		t.Error("the shell needs no credential")
	}
}

// FuzzQuotes: a quoted text is one string, and the same text. Every escape that
// we write into TOML is one of JSON's, too.
func FuzzQuotes(f *testing.F) {
	f.Add("a\"b\\c\n\t\x00\x7f\u2028é")
	f.Fuzz(func(t *testing.T, s string) {
		j, err := quoteJSON(s)
		if err != nil {
			t.Fatal(err)
		}
		for kind, quoted := range map[string]string{"JSON": j, "TOML": quoteTOML(s)} {
			var back string
			if err := json.Unmarshal([]byte(quoted), &back); err != nil || strings.ContainsAny(quoted, "\n\r\x00") {
				t.Fatalf("%s: %q, %v", kind, quoted, err)
			}
			if utf8.ValidString(s) && back != s {
				t.Fatalf("%s: %q became %q", kind, s, back)
			}
		}
		if strings.Contains(quoteTOML(s), "\x7f") {
			t.Fatal("TOML has no DEL in a string")
		}
	})
}
