package manifest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/bottle"
)

// A block of the documentation, and the agent's, which has a body.
var block = regexp.MustCompile("(?s)```(yaml|markdown)\n(.*?)```")

// examples are the manifests that the documentation shows, by where they stand.
// What is a daemon's configuration begins with its version.
func examples(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	docs, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(docs, "../../../README.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range block.FindAllStringSubmatch(string(data), -1) {
			if text := m[2]; !strings.HasPrefix(text, "version:") {
				if !strings.HasPrefix(text, "---\n") {
					text = "---\n" + text + "---\n"
				}
				out[filepath.Base(file)+" "+string(rune('1'+i))] = text
			}
		}
	}
	return out
}

// real puts a key of that shape in the place of one that a document cuts short.
func real(text string) string {
	return strings.ReplaceAll(text, "ssh-ed25519 AAAA...", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5hhbeVFdcKjY3BQ0g0Hn5F7ZF4PFoL8p9cE1HkLKxV")
}

func TestExamplesAreManifests(t *testing.T) {
	c := jsonschema.NewCompiler()
	schemas := map[string]*jsonschema.Schema{}
	for _, kind := range []string{"bottle", "agent"} {
		var err error
		if schemas[kind], err = c.Compile(filepath.Join(schemaDir, kind+".schema.json")); err != nil {
			t.Fatal(err)
		}
	}
	found := examples(t)
	if len(found) < 6 {
		t.Errorf("only %d examples were found", len(found))
	}
	for where, text := range found {
		t.Run(where, func(t *testing.T) {
			front, _, err := split("x.md", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			var keys map[string]any
			if err := yaml.Unmarshal(front, &keys); err != nil {
				t.Fatal(err)
			}
			kind := "bottle"
			if keys["bottle"] != nil {
				kind = "agent"
			}
			if err := schemas[kind].Validate(asJSON(keys)); err != nil {
				t.Errorf("against the schema: %v", err)
			}
			s := place(t, map[string]string{
				"home/bottles/base.md": "---\n---\n", "home/bottles/dev.md": "---\n---\n", "home/bottles/corp.pem": "", "corp.pem": "", ".bottle/claude.Dockerfile": "RUN true\n",
				".claude/skills/review/SKILL.md": "x", "home/" + kind + "s/it.md": real(text),
			})
			if err := s.parses(kind, real(text)); err != nil {
				t.Errorf("against the parser: %v", err)
			}
		})
	}
}

// parses reads a manifest as the launcher would.
func (s Source) parses(kind, text string) error {
	if kind == "agent" {
		_, err := s.Load("it")
		return err
	}
	_, err := ParseBottle("it", filepath.Join(bottle.Home{Dir: s.Home.Dir}.Bottles(), "it.md"), []byte(text), s.UserHome)
	return err
}

// asJSON gives YAML's values the types that a schema knows.
func asJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = asJSON(e)
		}
		return v
	case []any:
		for i, e := range v {
			v[i] = asJSON(e)
		}
		return v
	case int:
		return float64(v)
	case interface{ Format(string) string }: // an unquoted time
		return v.Format("2006-01-02T15:04:05Z07:00")
	}
	return v
}

// What the parser refuses for its shape the schema refuses, too.
func TestSchemaRefuses(t *testing.T) {
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(schemaDir, "bottle.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, front := range []string{
		"egres: {}", "egress: []", "egress: {routes: [{hots: a}]}", "egress: {routes: [{}]}", "egress: {presets: [nmp]}", "skills: [a]",
		"egress: {routes: [{host: a.example, matches: [{path: {exact: /a, prefix: /b}}]}]}", "env: {A-B: x}", "supervise: maybe",
		"egress: {routes: [{host: a.example, auth: {scheme: bearer, token_ref: A}}]}", "resources: {memory: 1MB}", "extends: base",
		"egress: {routes: [{host: a.example, auth: {scheme: Bearer}}]}", "git: [{name: a}]", "pipelock: {actions: [{action: drop}]}", "resources: {pids: 2}",
	} {
		var keys map[string]any
		if err := yaml.Unmarshal([]byte(front), &keys); err != nil {
			t.Fatal(err)
		}
		if s.Validate(asJSON(keys)) == nil {
			t.Errorf("the schema takes %s", front)
		}
		if _, err := ParseBottle("b", "b.md", []byte("---\n"+front+"\n---\n"), ""); err == nil {
			t.Errorf("the parser takes %s", front)
		}
	}
}
