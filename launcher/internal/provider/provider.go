// Package provider knows the agent programs that a bottle can hold: the image of
// each, how it is started, which placeholders make it start without a credential,
// and the settings that it finds in its guest.
//
// A provider is a folder below templates/: provider.yaml, and below clients/ the
// files that the guest sees, read only, at [Dir]. A file that ends in .tmpl is a
// text/template over [Guest], and is left out when it renders to nothing. What
// lies below clients/home is copied into the agent's home directory, because the
// program writes there. To add a provider, add a folder, and an image of the same
// name below images/; no Go has to change.
//
// No provider adds a route: what is not in a bottle's manifest is denied. The
// routes that its program needs are documentation ([Provider.Routes]).
package provider

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"text/template"

	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Places in the guest.
const (
	// Dir is where an agent finds the files of its provider, beside those of its
	// presets.
	Dir = "/etc/bottle/clients"
	// Home is the folder below Dir that is copied into the home directory.
	Home = "home"
	// Workspace is where the agent starts.
	Workspace = "/home/agent/workspace"
	// MCP is where superviserd listens in a bottle that has it.
	MCP = "http://supervise:9100/"
)

// Default is the provider of a bottle that names none.
const Default = "shell"

// promptWord stands in a headless command for the prompt.
const promptWord = "{prompt}"

// Provider is one agent program.
type Provider struct {
	Name string `yaml:"-"`
	// Image is the reference of the guest's image.
	Image string `yaml:"image"`
	// Command is what a start runs when nothing else is asked for.
	Command []string `yaml:"command"`
	// Headless is a command that does one thing and ends.
	Headless []string `yaml:"headless"`
	// Resume is a command that goes on with the last conversation. It is for a guest
	// in which Transcript is there.
	Resume []string `yaml:"resume"`
	// Transcript is where conversations are kept, below the home directory; "" if
	// there are none.
	Transcript string `yaml:"transcript"`
	// Credentials are the variables that the program takes a credential from.
	Credentials []Credential `yaml:"credentials"`
	// Env are further variables. None is a secret.
	Env map[string]string `yaml:"env"`
	// Routes are an example of what the program has to reach, in a manifest's
	// words.
	Routes string `yaml:"routes"`
}

// Credential is a variable from which a program takes a credential, and how it
// sends it.
type Credential struct {
	Variable string `yaml:"variable"`
	Host     string `yaml:"host"`
	Scheme   string `yaml:"scheme"`
	Header   string `yaml:"header"`
}

// Guest is what a provider's files are rendered from.
type Guest struct {
	// Env is the agent's environment, with placeholders for its tokens.
	Env map[string]string
	// Prompt is the agent's own, "" for none.
	Prompt string
	// MCP is superviserd's URL, "" in a bottle without it.
	MCP string
	// Workspace is where the agent starts.
	Workspace string
}

//go:embed all:templates
var templates embed.FS

// all are the providers, by name. A folder that is not right is a mistake of ours.
var all = sync.OnceValue(func() map[string]*Provider {
	folders, err := templates.ReadDir("templates")
	if err != nil {
		panic(err)
	}
	out := map[string]*Provider{}
	for _, f := range folders {
		p, err := load(f.Name())
		if err != nil {
			panic(err)
		}
		out[p.Name] = p
	}
	return out
})

func load(name string) (*Provider, error) {
	file := path.Join("templates", name, "provider.yaml")
	data, err := templates.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the provider %s: %w", name, err)
	}
	doc, err := wire.Parse(file, data, 1)
	if err != nil {
		return nil, err
	}
	p := &Provider{Name: name}
	if err := doc.Decode(p); err != nil {
		return nil, err
	}
	if p.Image == "" || len(p.Command) == 0 || !slices.Contains(p.Headless, promptWord) {
		return nil, fmt.Errorf("%s: a provider has an image, a command, and a headless command with the word %s", file, promptWord)
	}
	return p, nil
}

// Names are the providers that there are, sorted.
func Names() []string { return slices.Sorted(maps.Keys(all())) }

// Find returns the provider of a name; an error says which there are.
func Find(name string) (*Provider, error) {
	p, ok := all()[name]
	if !ok {
		return nil, fmt.Errorf("unknown agent provider %q%s; there is %s", name, wire.DidYouMean(name, Names()), strings.Join(Names(), ", "))
	}
	return p, nil
}

// CopyHome is the command that copies, in the guest and as the agent, what its
// program finds and changes in the home directory. What is there already, stays.
var CopyHome = []string{"cp", "-R", "--no-clobber", Dir + "/" + Home + "/.", "/home/agent/"}

// HasHome reports whether there is something for [CopyHome] to copy.
func (p *Provider) HasHome() bool {
	_, err := fs.Stat(templates, path.Join("templates", p.Name, "clients", Home))
	return err == nil
}

// Ask is the command that gives the program one prompt and ends.
func (p *Provider) Ask(prompt string) []string {
	argv := slices.Clone(p.Headless)
	for i, word := range argv {
		if word == promptWord {
			argv[i] = prompt
		}
	}
	return argv
}

// Placeholder is the variable that the program needs beside those that are named
// like a token, set to the placeholder of the route that serves it; both are ""
// when none is needed. Served is false when no route gives the program a credential.
func (p *Provider) Placeholder(routes []wire.Route) (variable, value string, served bool) {
	if len(p.Credentials) == 0 {
		return "", "", true
	}
	for _, c := range p.Credentials {
		for _, r := range routes {
			if r.Auth != nil && r.Auth.TokenRef == c.Variable {
				return "", "", true // the guest has a placeholder of that name
			}
			if served = c.servedBy(r); served && variable == "" {
				variable, value = c.Variable, secret.Placeholder(r.Auth.TokenRef)
			}
		}
	}
	return variable, value, variable != ""
}

// servedBy reports whether a route puts its token where the program puts this
// credential.
func (c Credential) servedBy(r wire.Route) bool {
	return r.Auth != nil && r.Host == c.Host && r.Auth.Scheme == c.Scheme && strings.EqualFold(r.Auth.Header, c.Header)
}

// Files renders the provider's files, by their path below [Dir].
func (p *Provider) Files(g Guest) (map[string][]byte, error) {
	if g.Workspace == "" {
		g.Workspace = Workspace
	}
	out := map[string][]byte{}
	root := path.Join("templates", p.Name, "clients")
	err := fs.WalkDir(templates, root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := templates.ReadFile(file)
		name := strings.TrimPrefix(file, root+"/")
		if base, ok := strings.CutSuffix(name, ".tmpl"); ok && err == nil {
			name = base
			data, err = render(name, data, g)
		}
		if len(bytes.TrimSpace(data)) > 0 {
			out[name] = data
		}
		return err
	})
	if _, serr := fs.Stat(templates, root); serr != nil {
		return out, nil // a provider without files
	}
	if err != nil {
		return nil, fmt.Errorf("the files of the provider %s: %w", p.Name, err)
	}
	return out, nil
}

func render(name string, text []byte, g Guest) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=zero").Funcs(functions).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	err = t.Execute(&buf, g)
	return buf.Bytes(), err
}
