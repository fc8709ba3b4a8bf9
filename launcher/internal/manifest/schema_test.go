package manifest

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/preset"
	"github.com/bottlesuite/bottle/launcher/internal/provider"
)

var update = flag.Bool("update", false, "write docs/schema")

const schemaDir = "../../../docs/schema"

// The schemas are for editors. They are made of the structs that the parser fills
// and of their comments, so that they know every key and no other; the tables
// below add what Go types do not say. The parser goes on to judge what no schema
// can.
func TestSchemasAreCurrent(t *testing.T) {
	g := newGenerator(t)
	for name, keys := range map[string]any{"bottle": bottleKeys{}, "agent": agentKeys{}} {
		s := g.object(reflect.TypeOf(keys), g.types[name+"Keys"], "")
		s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
		s["title"] = "The front matter of " + map[string]string{"bottle": "a bottle (bottles/*.md)", "agent": "an agent (agents/*.md)"}[name]
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(schemaDir, name+".schema.json")
		if *update {
			if err := os.WriteFile(file, buf.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, buf.Bytes()) {
			t.Errorf("%s is not what the code says (go test ./internal/manifest -update): %v", file, err)
		}
	}
	for at := range g.rules {
		if !g.used[at] {
			t.Errorf("the table has a rule for %q, which is no key: remove it", at)
		}
	}
}

type object = map[string]any

// described are keys whose comments say nothing to somebody who writes a manifest.
var described = map[string]string{
	"git":            "The repositories behind the git gate.",
	"supervise":      "Whether the agent may ask its operator for more.",
	"agent_provider": "The agent's program, and the image that holds it.",

	"egress.routes[].auth":           "The credential that egressd adds; the agent never sees it.",
	"egress.routes[].auth.scheme":    "Bearer, token, Basic (the token is user:password), or header.",
	"egress.routes[].auth.token_ref": "The variable of the operator's environment that holds the token.",
	"egress.routes[].auth.header":    "The field to set, with the scheme header only.",
	"egress.routes[].limits":         "Bounds of one request.",
	"egress.routes[].matches[].path": "Exactly one of exact, prefix and regex.",
	"pipelock.limits.bottle_bytes":   "How much may be sent in all, from start to end of the bottle; 0 is no bound.",
	"pipelock.limits.host_bytes":     "How much may be sent to one host.",
	"pipelock.limits.burst":          "How many requests may come at once; a minute's worth if absent.",
	"git[].refs":                     "What may be pushed; nothing where it is absent.",
	"git[].limits":                   "Bounds of one push.",
	"agent_provider.template":        "The name of a provider.",
	"agent_provider.dockerfile":      "A Dockerfile of the operator's own for the agent's image.",
}

const (
	namePattern  = `^[a-z][a-z0-9-]*$`
	tokenPattern = `^[A-Z][A-Z0-9_]*$`
	envPattern   = `^[A-Za-z_][A-Za-z0-9_]*$`
)

// rules are what types do not say, by key; [] is any element of a list.
func rules() map[string]object {
	words := func(s ...string) object { return object{"enum": s} }
	pattern := func(p string) object { return object{"pattern": p} }
	needs := func(s ...string) object { return object{"required": s} }
	return map[string]object{
		"bottle": pattern(namePattern), "extends[]": pattern(namePattern), "": nil, // the document's own come below
		"git_user": needs("name", "email"),
		"env":      {"propertyNames": pattern(envPattern), "additionalProperties": object{"type": []string{"string", "number", "boolean", "null"}}},

		"agent_provider.template":               {"enum": append([]string{""}, provider.Names()...)},
		"egress.presets[]":                      {"enum": preset.Names()},
		"egress.routes[]":                       needs("host"),
		"egress.routes[].matches[].path":        {"minProperties": 1, "maxProperties": 1},
		"egress.routes[].matches[].methods[]":   pattern(`^[A-Z-]+$`),
		"egress.routes[].auth":                  needs("scheme", "token_ref"),
		"egress.routes[].auth.scheme":           words(wire.SchemeBearer, wire.SchemeToken, wire.SchemeBasic, wire.SchemeHeader),
		"egress.routes[].auth.token_ref":        pattern(tokenPattern),
		"egress.routes[].auth.agent_credential": words(wire.AgentCredentialRefuse, wire.AgentCredentialStrip),
		"pipelock.known[]":                      pattern(envPattern),
		"pipelock.canaries[]":                   pattern(envPattern),
		"pipelock.actions[]":                    needs("action"),
		"pipelock.actions[].action":             words("block", "redact", "warn", "ignore"),
		"pipelock.limits.requests_per_minute":   {"minimum": 0},
		"pipelock.limits.burst":                 {"minimum": 0},
		"resources.cpus":                        {"exclusiveMinimum": 0},
		"resources.pids":                        {"minimum": 16},
		"git[]":                                 needs("name", "upstream"),
		"git[].name":                            pattern(namePattern),
		"git[].token_ref":                       pattern(tokenPattern),
		"git[].refs.allow[]":                    pattern(`^refs/(heads|tags|notes)/`),
		"git[].refs.tags":                       words(wire.TagsCreate, wire.TagsMove, wire.TagsDeny),
	}
}

// generator makes schemas of structs.
type generator struct {
	t     *testing.T
	types map[string]*ast.StructType // by name, of this package and of wire
	rules map[string]object
	used  map[string]bool
}

func newGenerator(t *testing.T) *generator {
	g := &generator{t: t, types: map[string]*ast.StructType{}, rules: rules(), used: map[string]bool{"": true}}
	for _, dir := range []string{".", "../../../internal/wire"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok {
					if s, ok := spec.Type.(*ast.StructType); ok {
						g.types[spec.Name.Name] = s
					}
				}
				return true
			})
		}
	}
	return g
}

func (g *generator) object(typ reflect.Type, source *ast.StructType, path string) object {
	properties := object{}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		at := strings.TrimPrefix(path+"."+name, ".")
		field := source.Fields.List[i]
		s := g.value(f.Type, field.Type, at)
		if text := describe(at, field, f.Name, name); text != "" {
			s["description"] = text
		}
		properties[name] = s
	}
	s := object{"type": "object", "additionalProperties": false, "properties": properties}
	if path == "" && typ == reflect.TypeFor[agentKeys]() {
		s["required"] = []string{"bottle"}
	}
	return s
}

// describe is a field's comment, as it reads with the key in the field's place.
func describe(at string, f *ast.Field, goName, key string) string {
	if text := described[at]; text != "" {
		return text
	}
	text := strings.Join(strings.Fields(f.Doc.Text()), " ")
	if text == "" {
		text = strings.Join(strings.Fields(f.Comment.Text()), " ")
		if text != "" && strings.HasPrefix(at, "git[].limits.") {
			text = "Default: " + text
		}
	}
	if rest, ok := strings.CutPrefix(text, goName+" "); ok {
		text = key + " " + rest
	}
	return strings.NewReplacer("[ModelHosts]", "well-known model APIs", "the Scheme constants", "Bearer, token, Basic and header",
		"AgentCredentialRefuse", "refuse", "AgentCredentialStrip", "strip", "the Tags constants", "create, move and deny").Replace(text)
}

func (g *generator) value(typ reflect.Type, source ast.Expr, at string) object {
	s := g.shape(typ, source, at)
	if more, ok := g.rules[at]; ok {
		g.used[at] = true
		maps.Copy(s, more)
	}
	return s
}

func (g *generator) shape(typ reflect.Type, source ast.Expr, at string) object {
	switch typ {
	case reflect.TypeFor[wire.Size]():
		return object{"type": []string{"string", "integer"}, "pattern": `^[0-9]+ *(B|KiB|MiB|GiB)?$`}
	case reflect.TypeFor[wire.Instant]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[wire.Duration]():
		return object{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$`}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return g.shape(typ.Elem(), source.(*ast.StarExpr).X, at)
	case reflect.Struct:
		if st, ok := source.(*ast.StructType); ok {
			return g.object(typ, st, at)
		}
		return g.object(typ, g.types[typ.Name()], at)
	case reflect.Slice:
		return object{"type": "array", "items": g.value(typ.Elem(), source.(*ast.ArrayType).Elt, at+"[]")}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": object{"type": "string"}}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	}
	g.t.Fatalf("%s: no schema for %s", at, typ)
	return nil
}

// walk calls f for every key that a schema knows.
func walk(s object, path string, f func(at string, s object)) {
	props, _ := s["properties"].(object)
	for _, name := range slices.Sorted(maps.Keys(props)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		f(at, props[name].(object))
		walk(props[name].(object), at, f)
	}
	if items, ok := s["items"].(object); ok {
		walk(items, path+"[]", f)
	}
}

// Every key of a schema has a description and stands in docs/manifest.md.
func TestEveryKeyIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/manifest.md")
	if err != nil {
		t.Fatal(err)
	}
	g := newGenerator(t)
	for name, keys := range map[string]any{"bottle": bottleKeys{}, "agent": agentKeys{}} {
		walk(g.object(reflect.TypeOf(keys), g.types[name+"Keys"], ""), "", func(at string, s object) {
			if s["description"] == nil {
				t.Errorf("%s: the key %s has no description: give its field a comment", name, at)
			}
			if key := at[strings.LastIndexByte(at, '.')+1:]; !bytes.Contains(doc, []byte(key+":")) {
				t.Errorf("docs/manifest.md does not show the key %s of the %s", at, name)
			}
		})
	}
}
