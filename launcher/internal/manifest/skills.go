package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/bottlesuite/bottle/internal/secretscan"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Skill is a directory with a SKILL.md, read as a whole.
type Skill struct {
	Name  string
	Files []SkillFile
}

// SkillFile is one file of a skill. Path is relative to the skill, with slashes.
type SkillFile struct {
	Path       string
	Executable bool
	Data       []byte
}

var skillName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Bounds of one skill; a larger one is a mistake.
const (
	maxSkillBytes = 8 << 20
	maxSkillFiles = 512
)

// readSkills reads the skills of an agent from where the operator has them. A
// repository's own skills are not looked at: its agent names those of the operator.
func (s Source) readSkills(names []string, doc *wire.Doc) ([]Skill, error) {
	var out []Skill
	for i, name := range names {
		at := fmt.Sprintf("skills[%d]", i)
		if !skillName.MatchString(name) {
			return nil, doc.Errorf(at, "%q cannot name a skill: use letters, digits, hyphens and underscores", name)
		}
		for _, had := range out {
			if had.Name == name {
				return nil, doc.Errorf(at, "the skill %s stands twice; keep one", name)
			}
		}
		skill, err := readSkill(filepath.Join(s.UserHome, ".claude", "skills"), name)
		if err != nil {
			return nil, doc.Errorf(at, "%v", err)
		}
		out = append(out, skill)
	}
	return out, nil
}

// credentials are sentences about files of skills that hold what looks like a
// secret: the agent would get it, and what it is for is the operator's to know.
func credentials(skills []Skill) []string {
	var out []string
	for _, skill := range skills {
		for _, f := range skill.Files {
			if found, ok := secretscan.Field.Find(f.Data); ok {
				out = append(out, fmt.Sprintf("the skill %s gives the agent what looks like a secret (%s in %s); take it out, and let a route or a git remote hold it", skill.Name, found.Rule, f.Path))
			}
		}
	}
	return out
}

// readSkill reads one skill. Its directory may be a link of the operator's;
// within it there are plain files and directories only, so that nothing else of
// the host comes along.
func readSkill(dir, name string) (Skill, error) {
	dir = filepath.Join(dir, name)
	skill := Skill{Name: name}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return skill, fmt.Errorf("there is no skill %s: %s does not exist%s", name, dir, knownSkills(filepath.Dir(dir)))
	}
	if err != nil {
		return skill, fmt.Errorf("cannot read the skill %s: %w", name, err)
	}
	defer root.Close()
	size, hasText := int64(0), false
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir // what a clone knows of its remotes is not the skill
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is no plain file; put a copy of what it leads to in its place", filepath.Join(dir, path))
		case strings.ContainsFunc(path, unicode.IsControl):
			return fmt.Errorf("%q has a control character in its name; rename it", filepath.Join(dir, path))
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if size += fi.Size(); size > maxSkillBytes || len(skill.Files) == maxSkillFiles {
			return fmt.Errorf("the skill %s has more than %d MiB or %d files; take out what the agent does not need", name, maxSkillBytes>>20, maxSkillFiles)
		}
		data, err := root.ReadFile(path)
		if err != nil {
			return err
		}
		hasText = hasText || path == "SKILL.md"
		skill.Files = append(skill.Files, SkillFile{Path: path, Executable: fi.Mode()&0o100 != 0, Data: data})
		return nil
	})
	if err == nil && !hasText {
		err = fmt.Errorf("%s has no SKILL.md, so it is no skill", dir)
	}
	return skill, err
}

// knownSkills ends a sentence about a missing skill with what there is.
func knownSkills(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*", "SKILL.md"))
	if len(files) == 0 {
		return "; there is none below " + dir
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	return "; there is " + strings.Join(names, ", ")
}
