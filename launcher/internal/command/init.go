package command

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/template"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/preset"
	"github.com/bottlesuite/bottle/launcher/internal/provider"
)

//go:embed examples/bottle.md examples/agent.md
var examples embed.FS

func (r *run) initCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "write a first bottle and agent by four questions; what is there stays as it is",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "agent", Usage: "the agent's name"},
			&cli.StringFlag{Name: "provider", Usage: "the agent's program"},
			&cli.StringFlag{Name: "presets", Usage: "presets, with commas between them, or none"},
			&cli.StringFlag{Name: "git", Usage: "the URL of a git remote, or none"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask; take what is offered"},
		},
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			return r.init(c)
		},
	}
}

// first is what the example manifests are made of.
type first struct {
	Agent, Bottle, Provider, Presets string
	// Routes are those that the provider's program needs, "" for none.
	Routes string
	Git    *firstGit
}

// question is one of those that init asks.
type question struct {
	flag, text, offered string
	check               func(answer string) error
}

func (r *run) init(c *cli.Context) error {
	home, err := r.home()
	if err != nil {
		return err
	}
	answers := map[string]string{}
	for _, q := range r.questions(c) {
		if answers[q.flag], err = r.answer(c, q); err != nil {
			return err
		}
	}
	f := first{Agent: answers["agent"], Bottle: "dev", Provider: answers["provider"], Presets: none(answers["presets"])}
	program, err := provider.Find(f.Provider)
	if err != nil {
		return mend(err)
	}
	f.Routes = strings.ReplaceAll(strings.TrimSpace(program.Routes), "\n", "\n    ")
	if url := none(answers["git"]); url != "" {
		f.Git = r.firstGit(c.Context, url)
	}
	files := []struct{ example, path string }{
		{"examples/bottle.md", filepath.Join(home.Bottles(), f.Bottle+".md")}, {"examples/agent.md", filepath.Join(home.Agents(), f.Agent+".md")},
	}
	if _, err := os.Lstat(files[0].path); err == nil && f.Agent != "demo" { // another agent gets a bottle of its own
		f.Bottle = f.Agent
		files[0].path = filepath.Join(home.Bottles(), f.Bottle+".md")
	}
	for _, file := range files {
		if err := r.writeExample(file.example, file.path, f); err != nil {
			return err
		}
	}
	if f.Git != nil && f.Git.SSH {
		r.print("%s", f.Git.advice())
	}
	r.print("Next: `launcher doctor`, then `launcher start %s --dry-run`.", f.Agent)
	return nil
}

// providers are the agent programs that init offers, the default first.
var providers = append([]string{provider.Default}, slices.DeleteFunc(provider.Names(), func(n string) bool { return n == provider.Default })...)

func (r *run) questions(c *cli.Context) []question {
	return []question{
		{"agent", "What is the agent called?", "demo", bottle.CheckName},
		{"provider", "Which program is it (" + strings.Join(providers, ", ") + ")?", providers[0], func(s string) error {
			if !slices.Contains(providers, s) {
				return fmt.Errorf("there is no provider %q%s", s, wire.DidYouMean(s, providers))
			}
			return nil
		}},
		{"presets", "Packages of which clients may it install, with your own settings (" + strings.Join(preset.Names(), ", ") + ", or none)?", r.foundPresets(c), checkPresets},
		{"git", "Which git repository may it fetch, and push to agent/* of (a URL, or none)?", r.origin(c.Context), checkRemote},
	}
}

// answer is a question's flag, the operator's word, or what is offered.
func (r *run) answer(c *cli.Context, q question) (string, error) {
	if given := strings.TrimSpace(c.String(q.flag)); given != "" {
		if err := q.check(given); err != nil {
			return "", mendf("--%s: %w", q.flag, err)
		}
		return given, nil
	}
	if c.Bool("yes") || !r.interactive() {
		return q.offered, nil
	}
	for {
		said, err := r.line(c.Context, fmt.Sprintf("%s [%s] ", q.text, q.offered))
		if err != nil {
			return "", err
		}
		if said = strings.TrimSpace(said); said == "" {
			return q.offered, nil
		}
		if err := q.check(said); err != nil {
			r.note("%v", err)
			continue
		}
		return said, nil
	}
}

func none(s string) string {
	if s == "none" {
		return ""
	}
	return s
}

func checkPresets(s string) error {
	for name := range strings.SplitSeq(none(s), ",") {
		if name = strings.TrimSpace(name); s != "none" && !slices.Contains(preset.Names(), name) {
			return fmt.Errorf("there is no preset %q%s", name, wire.DidYouMean(name, append(preset.Names(), "none")))
		}
	}
	return nil
}

// foundPresets are the clients on this machine whose settings can be taken over.
// That of apt needs root in the bottle, so it is not offered unasked.
func (r *run) foundPresets(c *cli.Context) string {
	if c.String("presets") != "" {
		return ""
	}
	names := slices.DeleteFunc(preset.Names(), func(s string) bool { return s == "apt" })
	ok := make([]bool, len(names))
	m := preset.Here(r.env)
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			p, err := preset.Resolve(c.Context, name, m)
			ok[i] = err == nil && takes(p)
		})
	}
	all.Wait()
	var found []string
	for i, name := range names {
		if ok[i] {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return "none"
	}
	return strings.Join(found, ", ")
}

// takes reports whether a preset goes into a bottle without routes of its own.
func takes(p *preset.Preset) bool {
	b, err := manifest.ParseBottle("trial", "trial.md", []byte("---\negress: {presets: ["+p.Name+"]}\n---\n"), "")
	return err == nil && b.Take(0, p) == nil
}

// writeExample fills an example in and writes it, unless there is such a file.
func (r *run) writeExample(example, path string, f first) error {
	t, err := template.ParseFS(examples, example)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, f); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return mendf("cannot create the home: %w", err)
	}
	err = writeNew(path, text.Bytes())
	switch {
	case errors.Is(err, fs.ErrExist):
		r.print("kept   %s", path)
	case err != nil:
		return mendf("cannot write the example: %w", err)
	default:
		r.print("wrote  %s", path)
	}
	return nil
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// line asks for a line on the terminal.
func (r *run) line(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(r.stdio.Err, prompt)
	answer := make(chan string, 1)
	go func() { answer <- readLine(r.stdio.In) }()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case a := <-answer:
		return a, nil
	}
}
