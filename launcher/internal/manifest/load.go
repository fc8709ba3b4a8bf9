package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
)

// maxBytes bounds a manifest; a larger file is a mistake.
const maxBytes = 1 << 20

// Source is where manifests are looked for.
type Source struct {
	Home bottle.Home
	// Cwd is the working directory, whose .bottle/agents counts too.
	Cwd string
	// UserHome is where ~ leads in a manifest.
	UserHome string
}

// Launch is an agent with its bottle.
type Launch struct {
	Agent  *Agent
	Bottle *Bottle
	// Warnings are sentences about what was not taken into account.
	Warnings []string
}

// Load reads the agent called name and its bottle.
func (s Source) Load(name string) (*Launch, error) {
	if err := bottle.CheckName(name); err != nil {
		return nil, fmt.Errorf("the agent %w", err)
	}
	l := &Launch{}
	if fi, err := os.Stat(filepath.Join(s.Cwd, ".bottle", "bottles")); err == nil && fi.IsDir() && !s.cwdIsHome() {
		l.Warnings = append(l.Warnings, fmt.Sprintf(
			"%s is ignored: a bottle is read from %s only, because a repository must not say where your tokens go",
			filepath.Join(s.Cwd, ".bottle", "bottles"), s.Home.Bottles()))
	}
	file, data, err := s.findAgent(name, l)
	if err != nil {
		return nil, err
	}
	var doc *wire.Doc
	if l.Agent, doc, err = ParseAgent(name, file, data); err != nil {
		return nil, err
	}
	if l.Agent.Skills, err = s.readSkills(l.Agent.skills, doc); err != nil {
		return nil, err
	}
	l.Warnings = append(l.Warnings, credentials(l.Agent.Skills)...)
	file = filepath.Join(s.Home.Bottles(), l.Agent.Bottle+".md")
	data, err = read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, doc.Errorf("bottle", "the bottle %q does not exist: there is no %s%s", l.Agent.Bottle, file, known(s.Home.Bottles()))
	}
	if err != nil {
		return nil, err
	}
	l.Bottle, err = ParseBottle(l.Agent.Bottle, file, data, s.UserHome)
	return l, err
}

// findAgent reads the agent from the home or, if it is not there, from the
// working directory. The home wins, so that a repository cannot replace one of
// the operator's own agents.
func (s Source) findAgent(name string, l *Launch) (file string, data []byte, err error) {
	file = filepath.Join(s.Home.Agents(), name+".md")
	local := filepath.Join(s.Cwd, ".bottle", "agents", name+".md")
	_, lerr := os.Lstat(local)
	if s.cwdIsHome() {
		lerr = fs.ErrNotExist
	}
	data, err = read(file)
	switch {
	case err == nil && lerr == nil:
		l.Warnings = append(l.Warnings, fmt.Sprintf("%s is ignored: %s has the same name", local, file))
	case errors.Is(err, fs.ErrNotExist) && lerr == nil:
		if err := s.checkLocal(name); err != nil {
			return "", nil, err
		}
		file = local
		data, err = read(file)
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("the agent %q does not exist: there is no %s%s", name, file, known(s.Home.Agents()))
	}
	return file, data, err
}

// checkLocal refuses an agent of the working directory whose path leads over a
// link: a repository must not bring in what lies elsewhere on the host.
func (s Source) checkLocal(name string) error {
	path := s.Cwd
	for _, elem := range []string{".bottle", "agents", name + ".md"} {
		path = filepath.Join(path, elem)
		fi, err := os.Lstat(path)
		if err != nil {
			return fmt.Errorf("cannot read the manifest: %w", err)
		}
		if elem == name+".md" && !fi.Mode().IsRegular() {
			return fmt.Errorf("%s: an agent of a repository must be a plain file, not a link", path)
		}
		if elem != name+".md" && !fi.IsDir() {
			return fmt.Errorf("%s: the agents of a repository must lie in plain directories, not behind a link", path)
		}
	}
	return nil
}

// cwdIsHome reports whether .bottle of the working directory is the home.
func (s Source) cwdIsHome() bool {
	a, err1 := os.Stat(filepath.Join(s.Cwd, ".bottle"))
	b, err2 := os.Stat(s.Home.Dir)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

func read(file string) ([]byte, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the manifest: %w", err)
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxBytes {
		return nil, fmt.Errorf("%s: a manifest is a plain file of at most 1 MiB", file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the manifest: %w", err)
	}
	return data, nil
}

// known ends a sentence about a missing manifest with what there is.
func known(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.md"))
	if len(files) == 0 {
		return "; `launcher init` writes examples"
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".md"))
	}
	return "; there is " + strings.Join(names, ", ")
}
