package wire

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Error is a fault in a file, at a place that an editor can jump to.
type Error struct {
	File         string
	Line, Column int
	Msg          string

	text string // the line, for [Error.Excerpt]
	span int    // how much of it is meant, in characters
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// Doc is a parsed YAML document that remembers where each value stood, so that
// a fault found after decoding can still be reported with its place.
type Doc struct {
	file      string
	data      []byte // not to be changed
	firstLine int
	root      *yaml.Node
	places    map[string]*yaml.Node // by path: "egress.routes[2].host"
}

// Parse reads one YAML document. File names it in errors; firstLine is the line
// of that file at which data begins (1 for a whole file).
func Parse(file string, data []byte, firstLine int) (*Doc, error) {
	d := &Doc{file: file, data: data, firstLine: firstLine, places: map[string]*yaml.Node{}}
	var n yaml.Node
	if err := yaml.Load(data, &n); err != nil && !isEmpty(data) {
		return nil, d.syntaxError(err)
	}
	switch {
	case n.Kind == 0:
		d.root = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	case n.Kind == yaml.DocumentNode && len(n.Content) == 1:
		d.root = n.Content[0]
	default:
		d.root = &n
	}
	return d, nil
}

// isEmpty reports whether data holds no document, which Load calls an error and
// Unmarshal, which would overlook a second document, does not.
func isEmpty(data []byte) bool {
	var n yaml.Node
	return yaml.Unmarshal(data, &n) == nil && n.Kind == 0
}

// Refuse asks f about every key of the document, by its path with [] for any
// element of a list, and returns an [*Error] at the first for which f has a
// sentence. It comes before [Doc.Decode], which knows nothing of keys that were.
func (d *Doc) Refuse(f func(path string) string) error {
	if e := d.refuse(d.root, "", f); e != nil {
		return e
	}
	return nil
}

func (d *Doc) refuse(n *yaml.Node, path string, f func(path string) string) *Error {
	if n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			if e := d.refuse(c, path+"[]", f); e != nil {
				return e
			}
		}
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		at := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
		if sentence := f(at); sentence != "" {
			return d.errorAt(n.Content[i], "%s", sentence)
		}
		if e := d.refuse(n.Content[i+1], at, f); e != nil {
			return e
		}
	}
	return nil
}

// Decode fills v, a pointer to a struct, from the document. It returns an
// [*Error] for an unknown or repeated key, a value of the wrong kind, an alias
// or a tag of the document's own.
func (d *Doc) Decode(v any) error {
	return d.value(d.root, reflect.ValueOf(v).Elem(), "")
}

// File is the name that errors give to the file.
func (d *Doc) File() string { return d.file }

// Sets reports whether the document gives the value at path, be it an empty one.
// It is meant for use after [Doc.Decode].
func (d *Doc) Sets(path string) bool {
	n, ok := d.places[path]
	return ok && (n.Kind != yaml.ScalarNode || n.Tag != "!!null")
}

// Errorf builds an [*Error] at the value that path names, such as
// "egress.routes[2].auth.token_ref", or at the nearest value around it. It is
// meant for use after [Doc.Decode].
func (d *Doc) Errorf(path, format string, args ...any) *Error {
	for {
		if n, ok := d.places[path]; ok {
			return d.errorAt(n, format, args...)
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.errorAt(d.root, format, args...)
		}
		path = path[:i]
	}
}

// Decode reads a strict YAML document into v; see [Doc.Decode].
func Decode(file string, data []byte, firstLine int, v any) error {
	d, err := Parse(file, data, firstLine)
	if err != nil {
		return err
	}
	return d.Decode(v)
}

// LoadFile reads and decodes a configuration file.
func LoadFile(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	return Decode(path, data, 1, v)
}

func (d *Doc) errorAt(n *yaml.Node, format string, args ...any) *Error {
	e := &Error{File: d.file, Msg: fmt.Sprintf(format, args...)}
	if n != nil && n.Line > 0 {
		e.Line, e.Column = n.Line+d.firstLine-1, n.Column
		e.text, e.span = lineOf(d.data, n.Line), spanOf(n)
	} else {
		e.Line, e.Column = d.firstLine, 1
	}
	return e
}

// spanOf is how many characters of its line a value has; 1 for one that goes on.
func spanOf(n *yaml.Node) int {
	if n.Kind != yaml.ScalarNode || strings.Contains(n.Value, "\n") {
		return 1
	}
	span := utf8.RuneCountInString(n.Value)
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		span += 2
	}
	return span
}

// syntaxError gives a YAML syntax error the file's own line numbers.
func (d *Doc) syntaxError(err error) error {
	e := &Error{File: d.file, Line: d.firstLine, Column: 1, Msg: "not valid YAML: " + err.Error()}
	var le *yaml.LoadError
	if errors.As(err, &le) && le.Mark.Line > 0 {
		e.Line = le.Mark.Line + d.firstLine - 1
		e.Column = max(le.Mark.Column, 1)
		e.text = lineOf(d.data, le.Mark.Line)
		e.Msg = "not valid YAML: " + le.Message
	}
	return e
}
