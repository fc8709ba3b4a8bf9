package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Amend adds an approved change to the text of a bottle's manifest, behind what
// stands there. Comments and the body stay. What comes out has been read back.
func Amend(name, file string, data []byte, g wire.Grant, userHome string) ([]byte, error) {
	front, body, err := split(file, data)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Load(front, &doc); err != nil || doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s has no front matter that could be added to; write the change by hand", file)
	}
	list, value := []string{"pipelock", "allow"}, any(g.Host)
	if g.Route != nil {
		r := *g.Route
		r.Expires = wire.Instant{}
		list, value = []string{"egress", "routes"}, r
	}
	if err := add(doc.Content[0], list, value); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var buf bytes.Buffer
	buf.WriteString("---\n")
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return nil, err
	}
	buf.WriteString("---\n" + body)
	if _, err := ParseBottle(name, file, buf.Bytes(), userHome); err != nil {
		return nil, fmt.Errorf("the amended manifest would be refused: %w", err)
	}
	return buf.Bytes(), nil
}

// add appends a value to the list at a path of two keys, which it makes if they
// are not there.
func add(root *yaml.Node, path []string, value any) error {
	section := at(root, path[0], yaml.MappingNode)
	seq := at(section, path[1], yaml.SequenceNode)
	if section.Kind != yaml.MappingNode || seq.Kind != yaml.SequenceNode {
		return fmt.Errorf("%s.%s is not a list", path[0], path[1])
	}
	text, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	var n yaml.Node
	if err := yaml.Load(text, &n); err != nil {
		return err
	}
	seq.Content = append(seq.Content, n.Content[0])
	return nil
}

// at returns the value of a key, made if it is not there.
func at(mapping *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if v := mapping.Content[i+1]; mapping.Content[i].Value == key {
			if v.Kind == yaml.ScalarNode && v.Tag == "!!null" {
				*v = yaml.Node{Kind: kind}
			}
			return v
		}
	}
	v := &yaml.Node{Kind: kind}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, v)
	return v
}

// AmendFile is [Amend] for the file of a bottle in the home. It is replaced as a
// whole, and what was there is kept beside it with ".before" added.
func (s Source) AmendFile(name string, g wire.Grant) error {
	file := filepath.Join(s.Home.Bottles(), name+".md")
	data, err := read(file)
	if err != nil {
		return err
	}
	amended, err := Amend(name, file, data, g, s.UserHome)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".before", data, 0o600); err != nil {
		return fmt.Errorf("cannot keep the manifest as it was: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return fmt.Errorf("cannot write the manifest: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(amended)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write the manifest: %w", err)
	}
	return os.Rename(f.Name(), file)
}
