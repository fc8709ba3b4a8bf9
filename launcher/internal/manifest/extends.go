package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
)

// origin is where a value stands: a path in a file.
type origin struct {
	doc  *wire.Doc
	path string
}

// inherit puts what the parents say beneath what this bottle's own file says.
// A later parent goes before an earlier one, the file itself before all of them.
//
// env merges by variable. egress.routes merge by host: where the file has a
// route for a host pattern, its routes for that pattern stand instead of the
// parents'. Every other key is taken from the parents only where the file does
// not set it; in egress, pipelock and resources that goes for each key of the
// section. Chain are the bottles that are being read, outermost first.
func (b *Bottle) inherit(k *bottleKeys, chain []string) error {
	chain = append(slices.Clone(chain), b.Name)
	for i := len(k.Extends) - 1; i >= 0; i-- { // what is nearer is there already
		at, name := fmt.Sprintf("extends[%d]", i), k.Extends[i]
		if err := bottle.CheckName(name); err != nil {
			return b.errorf(at, "%v", err)
		}
		if slices.Contains(k.Extends[:i], name) {
			return b.errorf(at, "the bottle %s stands twice; keep one", name)
		}
		if slices.Contains(chain, name) {
			return b.errorf(at, "the bottles extend each other in a circle (%s); take one of them out", strings.Join(append(chain, name), " -> "))
		}
		dir := filepath.Dir(b.File)
		file := filepath.Join(dir, name+".md")
		data, err := read(file)
		if errors.Is(err, fs.ErrNotExist) {
			return b.errorf(at, "the bottle %q does not exist: there is no %s%s", name, file, known(dir))
		}
		if err != nil {
			return b.errorf(at, "%v", err)
		}
		parent, err := parseBottle(name, file, data, b.userHome, chain)
		if err != nil {
			return err // at its place in the parent
		}
		b.beneath(k, parent)
		b.Extends = append([]string{name}, b.Extends...)
	}
	return nil
}

// beneath takes from a parent what is not set yet.
func (b *Bottle) beneath(k *bottleKeys, parent *Bottle) {
	own := patterns(k.Egress.Routes)
	b.merge("", reflect.ValueOf(k).Elem(), reflect.ValueOf(&parent.keys).Elem(), parent)
	var routes []wire.Route
	origins := map[string]origin{}
	add := func(r wire.Route, from origin) {
		origins[fmt.Sprintf("egress.routes[%d]", len(routes))] = from
		routes = append(routes, r)
	}
	for i, r := range parent.keys.Egress.Routes {
		if !slices.Contains(own, canonicalHost(r.Host)) {
			add(r, parent.place(fmt.Sprintf("egress.routes[%d]", i)))
		}
	}
	for i, r := range k.Egress.Routes {
		add(r, b.place(fmt.Sprintf("egress.routes[%d]", i)))
	}
	k.Egress.Routes = routes
	for at, from := range origins {
		b.origins[at] = from
	}
}

// patterns are the host patterns that have a route.
func patterns(routes []wire.Route) []string {
	var hosts []string
	for _, r := range routes {
		hosts = append(hosts, canonicalHost(r.Host))
	}
	return hosts
}

// sections are merged key by key.
var sections = []string{"egress", "pipelock", "resources"}

// merge takes every key of a section ("" for the document) that is not set from
// the parent, except the routes.
func (b *Bottle) merge(section string, to, from reflect.Value, parent *Bottle) {
	for i := range to.NumField() {
		name, _, _ := strings.Cut(to.Type().Field(i).Tag.Get("yaml"), ",")
		at := strings.TrimPrefix(section+"."+name, ".")
		switch {
		case at == "extends", at == "egress.routes":
		case at == "env":
			b.mergeEnv(to.Field(i), from.Field(i), parent)
		case section == "" && slices.Contains(sections, name):
			b.merge(name, to.Field(i), from.Field(i), parent)
		case !b.sets(at) && parent.sets(at):
			to.Field(i).Set(from.Field(i))
			b.origins[at] = parent.place(at)
		}
	}
}

func (b *Bottle) mergeEnv(to, from reflect.Value, parent *Bottle) {
	merged := reflect.MakeMap(to.Type())
	for _, name := range from.MapKeys() {
		merged.SetMapIndex(name, from.MapIndex(name))
		if at := "env." + name.String(); !to.MapIndex(name).IsValid() {
			b.origins[at] = parent.place(at)
		}
	}
	for _, name := range to.MapKeys() {
		merged.SetMapIndex(name, to.MapIndex(name))
	}
	to.Set(merged)
}

// sets reports whether a key has a value, of the file's own or of a parent's.
func (b *Bottle) sets(path string) bool {
	_, inherited := b.origins[path]
	return inherited || b.doc.Sets(path)
}

// place says where the value at a path of the merged keys stands.
func (b *Bottle) place(path string) origin {
	for at := path; ; {
		if from, ok := b.origins[at]; ok {
			return origin{from.doc, from.path + path[len(at):]}
		}
		i := strings.LastIndexAny(at, ".[")
		if i < 0 {
			return origin{b.doc, path}
		}
		at = at[:i]
	}
}

// errorf is an error at a value, in the file in which it stands.
func (b *Bottle) errorf(path, format string, args ...any) *wire.Error {
	p := b.place(path)
	return p.doc.Errorf(p.path, format, args...)
}
