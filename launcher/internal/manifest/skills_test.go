package manifest

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var skilled = map[string]string{
	"home/bottles/dev.md":                  "---\n---\n",
	"home/agents/a.md":                     "---\nbottle: dev\nskills: [review, lint]\n---\n",
	".claude/skills/review/SKILL.md":       "# Review\n",
	".claude/skills/review/deep/steps.txt": "1. read\n",
	".claude/skills/review/.git/config":    "url = https://user:token@git.example/x\n",
	".claude/skills/lint/SKILL.md":         "# Lint\n",
	".claude/skills/lint/run.sh":           "#!/bin/sh\n",
}

func TestSkills(t *testing.T) {
	s := place(t, skilled)
	if err := os.Chmod(filepath.Join(s.UserHome, ".claude/skills/lint/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.UserHome, ".claude/skills/review"), filepath.Join(s.UserHome, "dotfiles")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../dotfiles", filepath.Join(s.UserHome, ".claude/skills/review")); err != nil {
		t.Fatal(err)
	}
	l, err := s.Load("a")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, skill := range l.Agent.Skills {
		for _, f := range skill.Files {
			mode := "-"
			if f.Executable {
				mode = "x"
			}
			got = append(got, skill.Name+"/"+f.Path+mode+string(f.Data[:3]))
		}
	}
	if got := strings.Join(got, " "); got != "review/SKILL.md-# R review/deep/steps.txt-1.  lint/SKILL.md-# L lint/run.shx#!/" {
		t.Errorf("got %s", got)
	}
}

func TestSkillRefusals(t *testing.T) {
	plant := func(target string) func(dir string) error {
		return func(dir string) error { return os.Symlink(target, filepath.Join(dir, "review", "more")) }
	}
	for name, c := range map[string]struct {
		skills string
		change func(dir string) error
		want   string
	}{
		"missing":     {"[revue]", nil, "a.md:3:10: there is no skill revue: "},
		"what is":     {"[revue]", nil, "; there is lint, review"},
		"path":        {"[../x]", nil, `a.md:3:10: "../x" cannot name a skill`},
		"twice":       {"[lint, lint]", nil, "a.md:3:16: the skill lint stands twice"},
		"link out":    {"[review]", plant("/etc/passwd"), "review/more is no plain file"},
		"link in":     {"[review]", plant("SKILL.md"), "review/more is no plain file"},
		"link to dir": {"[review]", plant("/etc"), "review/more is no plain file"},
		"no text":     {"[review]", func(dir string) error { return os.Remove(filepath.Join(dir, "review/SKILL.md")) }, "has no SKILL.md"},
		"large":       {"[review]", func(dir string) error { return os.Truncate(filepath.Join(dir, "review/SKILL.md"), maxSkillBytes+1) }, "more than 8 MiB"},
		"odd name":    {"[review]", func(dir string) error { return os.WriteFile(filepath.Join(dir, "review/a\x1b"), nil, 0o600) }, "control character"},
		"no dir":      {"[file]", func(dir string) error { return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600) }, "cannot read the skill file"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(skilled)
			files["home/agents/a.md"] = "---\nbottle: dev\nskills: " + c.skills + "\n---\n"
			s := place(t, files)
			if c.change != nil {
				if err := c.change(filepath.Join(s.UserHome, ".claude/skills")); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Load("a"); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("want an error with %q, got %v", c.want, err)
			}
		})
	}
}

func TestSkillWithACredential(t *testing.T) {
	files := maps.Clone(skilled)
	files[".claude/skills/lint/run.sh"] = "curl -H 'Authorization: token ghp_" + "wJalrXUtnFEMIK7MDENGbPxRfiCYzQ4h2T9s'\n"
	l, err := place(t, files).Load("a")
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.Join(l.Warnings, "\n"); len(l.Warnings) != 1 || !strings.Contains(w, "the skill lint gives the agent what looks like a secret") || !strings.Contains(w, "in run.sh") || strings.Contains(w, "wJalr") {
		t.Errorf("warnings: %q", l.Warnings)
	}
}
