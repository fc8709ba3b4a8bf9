package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Amend adds an approved change to the text of a bottle's manifest, behind what
// stands there. Comments and the body stay. What comes out has been read back.
//
// A grant only ever adds. So what a new entry would hide goes into the file with
// it: the parents' routes for its host, those of a wildcard that covers the host
// so far, and the parents' pipelock.allow.
func Amend(name, file string, data []byte, g wire.Grant, userHome string) ([]byte, error) {
	b, err := ParseBottle(name, file, data, userHome)
	if err != nil {
		return nil, err
	}
	front, body, err := split(file, data)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Load(front, &doc); err != nil || doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s has no front matter that could be added to; write the change by hand", file)
	}
	list, entries, err := b.entries(g)
	if err != nil {
		return nil, err
	}
	if err := add(doc.Content[0], list, entries); err != nil {
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

// entry is one element for a list of the manifest.
type entry struct {
	value   any
	comment string
}

// entries are what a grant adds, and to which list.
func (b *Bottle) entries(g wire.Grant) (list []string, out []entry, err error) {
	if g.Route == nil {
		if !b.doc.Sets("pipelock.allow") {
			for _, h := range b.Pipelock.Allow {
				out = append(out, entry{value: h, comment: b.inheritedFrom("pipelock.allow")})
			}
		}
		return []string{"pipelock", "allow"}, append(out, entry{value: g.Host}), nil
	}
	g.Expires = wire.Instant{}
	p, err := change.Apply(change.Policy{Egress: true, Routes: b.Routes}, []wire.Grant{g}, time.Time{})
	if err != nil {
		return nil, nil, err
	}
	for i, r := range b.Routes {
		if from := b.inheritedFrom(fmt.Sprintf("egress.routes[%d]", i)); from != "" && r.Host == canonicalHost(g.Route.Host) {
			out = append(out, entry{r, from})
		}
	}
	for i, r := range p.Routes[len(b.Routes):] {
		e := entry{value: r}
		if i > 0 {
			e.comment = "what a wildcard allowed, which the route above would hide"
		}
		out = append(out, e)
	}
	return []string{"egress", "routes"}, out, nil
}

// inheritedFrom is a comment on a value that a parent gave, or "".
func (b *Bottle) inheritedFrom(path string) string {
	if from := b.place(path); from.doc != b.doc {
		return "from " + filepath.Base(from.doc.File())
	}
	return ""
}

// add appends entries to the list at a path of two keys, which it makes if they
// are not there.
func add(root *yaml.Node, path []string, entries []entry) error {
	section := at(root, path[0], yaml.MappingNode)
	seq := at(section, path[1], yaml.SequenceNode)
	if section.Kind != yaml.MappingNode || seq.Kind != yaml.SequenceNode {
		return fmt.Errorf("%s.%s is not a list", path[0], path[1])
	}
	for _, e := range entries {
		text, err := yaml.Marshal(e.value)
		if err != nil {
			return err
		}
		var n yaml.Node
		if err := yaml.Load(text, &n); err != nil {
			return err
		}
		if e.comment != "" {
			n.Content[0].HeadComment = "# " + e.comment
			seq.Style &^= yaml.FlowStyle // which has no room for a comment
		}
		seq.Content = append(seq.Content, n.Content[0])
	}
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
