package wire

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Error is a fault in a file, at a place that an editor can jump to.
type Error struct {
	File         string
	Line, Column int
	Msg          string
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
	firstLine int
	root      *yaml.Node
	places    map[string]*yaml.Node // by path: "egress.routes[2].host"
}

// Parse reads one YAML document. File names it in errors; firstLine is the line
// of that file at which data begins (1 for a whole file).
func Parse(file string, data []byte, firstLine int) (*Doc, error) {
	d := &Doc{file: file, firstLine: firstLine, places: map[string]*yaml.Node{}}
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

// Decode fills v, a pointer to a struct, from the document. It returns an
// [*Error] for an unknown or repeated key, a value of the wrong kind, an alias
// or a tag of the document's own.
func (d *Doc) Decode(v any) error {
	return d.value(d.root, reflect.ValueOf(v).Elem(), "")
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
	} else {
		e.Line, e.Column = d.firstLine, 1
	}
	return e
}

// syntaxError gives a YAML syntax error the file's own line numbers.
func (d *Doc) syntaxError(err error) error {
	e := &Error{File: d.file, Line: d.firstLine, Column: 1, Msg: "not valid YAML: " + err.Error()}
	var le *yaml.LoadError
	if errors.As(err, &le) && le.Mark.Line > 0 {
		e.Line = le.Mark.Line + d.firstLine - 1
		e.Column = max(le.Mark.Column, 1)
		e.Msg = "not valid YAML: " + le.Message
	}
	return e
}
