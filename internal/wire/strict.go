package wire

import (
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

var unmarshaler = reflect.TypeFor[yaml.Unmarshaler]()

// value decodes n into v and remembers the place under path.
func (d *Doc) value(n *yaml.Node, v reflect.Value, path string) error {
	d.places[path] = n
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return d.errorAt(n, "anchors and aliases are not used in this file; write the value out")
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") || n.Style&yaml.TaggedStyle != 0 {
		return d.errorAt(n, "the tag %s is not used in this file; remove it", n.Tag)
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil // an absent value: the zero value stays
	}
	if v.CanAddr() && v.Addr().Type().Implements(unmarshaler) {
		return d.scalar(n, v, path)
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(n, v.Elem(), path)
	case reflect.Struct:
		return d.structure(n, v, path)
	case reflect.Map:
		return d.mapping(n, v, path)
	case reflect.Slice:
		return d.sequence(n, v, path)
	default:
		return d.scalar(n, v, path)
	}
}

func (d *Doc) structure(n *yaml.Node, v reflect.Value, path string) error {
	fields := map[string]int{}
	var known []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			fields[name] = i
			known = append(known, name)
		}
	}
	return d.pairs(n, path, func(key, val *yaml.Node, at string) error {
		i, ok := fields[key.Value]
		if !ok {
			return d.errorAt(key, "unknown key %q%s", key.Value, DidYouMean(key.Value, known))
		}
		return d.value(val, v.Field(i), at)
	})
}

func (d *Doc) mapping(n *yaml.Node, v reflect.Value, path string) error {
	m := reflect.MakeMap(v.Type())
	v.Set(m)
	return d.pairs(n, path, func(key, val *yaml.Node, at string) error {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(val, e, at); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(key.Value), e)
		return nil
	})
}

// pairs calls f for each key of a mapping, once.
func (d *Doc) pairs(n *yaml.Node, path string, f func(key, val *yaml.Node, at string) error) error {
	if n.Kind != yaml.MappingNode {
		return d.errorAt(n, "%s must be a mapping (key: value), not %s", subject(path), kindName(n))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return d.errorAt(key, "a key must be a plain word")
		}
		if seen[key.Value] {
			return d.errorAt(key, "the key %q stands twice; keep one", key.Value)
		}
		seen[key.Value] = true
		at := key.Value
		if path != "" {
			at = path + "." + key.Value
		}
		if err := f(key, val, at); err != nil {
			return err
		}
	}
	return nil
}

func (d *Doc) sequence(n *yaml.Node, v reflect.Value, path string) error {
	if n.Kind != yaml.SequenceNode {
		return d.errorAt(n, "%s must be a list, not %s", subject(path), kindName(n))
	}
	s := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	v.Set(s)
	for i, c := range n.Content {
		if err := d.value(c, s.Index(i), path+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	return nil
}

func (d *Doc) scalar(n *yaml.Node, v reflect.Value, path string) error {
	if n.Kind != yaml.ScalarNode {
		return d.errorAt(n, "%s must be a single value, not %s", subject(path), kindName(n))
	}
	if v.Kind() == reflect.String && !v.Addr().Type().Implements(unmarshaler) {
		v.SetString(n.Value) // as written: 0755 and 1.20 keep their shape
		return nil
	}
	if u, ok := v.Addr().Interface().(yaml.Unmarshaler); ok {
		if err := u.UnmarshalYAML(n); err != nil {
			return d.errorAt(n, "%s: %v", subject(path), err)
		}
		return nil
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		return d.errorAt(n, "%s must be %s, not %q", subject(path), article(v.Kind()), n.Value)
	}
	return nil
}

func subject(path string) string {
	if path == "" {
		return "the document"
	}
	return path
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return strconv.Quote(n.Value)
	}
}

func article(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	default:
		return "a " + k.String()
	}
}
