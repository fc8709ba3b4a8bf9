package command

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
)

// completeWord is the hidden command that the shells' functions call with the
// words of the line, the unfinished one last. It prints a candidate on each line,
// with a tab and an explanation behind it where there is one.
const completeWord = "__complete"

//go:embed completion/launcher.bash
var completionBash string

//go:embed completion/launcher.zsh
var completionZsh string

//go:embed completion/launcher.fish
var completionFish string

var completions = map[string]*string{"bash": &completionBash, "zsh": &completionZsh, "fish": &completionFish}

func (r *run) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print what makes a shell complete the launcher's words: bash, zsh or fish",
		ArgsUsage: "SHELL",
		Description: "For bash: source <(launcher completion bash)\nFor zsh: source <(launcher completion zsh)\n" +
			"For fish: launcher completion fish | source",
		Action: func(c *cli.Context) error {
			w, err := r.words(c, false, "SHELL")
			if err != nil {
				return err
			}
			text := completions[w[0]]
			if text == nil {
				return mendf("there is no completion for %q; there is bash, fish and zsh", w[0])
			}
			fmt.Fprint(r.stdio.Out, *text)
			return nil
		},
	}
}

// candidate is a word that may come next.
type candidate struct{ word, about string }

// complete prints what the last of words may become. It is silent about faults:
// somebody is in the middle of a line.
func (r *run) complete(app *cli.App, words []string) {
	if len(words) == 0 {
		return
	}
	current := words[len(words)-1]
	for _, c := range r.candidates(app, words[:len(words)-1], current) {
		if strings.HasPrefix(c.word, current) {
			r.print("%s\t%s", c.word, c.about)
		}
	}
}

func (r *run) candidates(app *cli.App, before []string, current string) []candidate {
	if len(before) == 0 {
		var out []candidate
		for _, c := range app.Commands {
			if !c.Hidden {
				out = append(out, candidate{c.Name, c.Usage})
			}
		}
		return out
	}
	cmd := app.Command(before[0])
	if cmd == nil || slices.Contains(before, "--") {
		return nil // what runs in the bottle is not known here
	}
	if last := before[len(before)-1]; flagLength(cmd, last) == 2 {
		return flagValues(last)
	}
	if strings.HasPrefix(current, "-") {
		return flagsOf(cmd)
	}
	position := 0
	for rest := before[1:]; len(rest) > 0; {
		n := max(1, flagLength(cmd, rest[0]))
		if flagLength(cmd, rest[0]) == 0 {
			position++
		}
		rest = rest[min(n, len(rest)):]
	}
	return r.argument(cmd, position)
}

// flagValues are the values of the few flags that have a known set of them.
func flagValues(flag string) []candidate {
	if strings.TrimLeft(flag, "-") == "user" {
		return []candidate{{"agent", ""}, {"root", "without capabilities"}}
	}
	return nil
}

func flagsOf(cmd *cli.Command) []candidate {
	var out []candidate
	for _, f := range cmd.Flags {
		about := ""
		if d, ok := f.(cli.DocGenerationFlag); ok {
			about = d.GetUsage()
		}
		out = append(out, candidate{"--" + f.Names()[0], about})
	}
	return out
}

// verbs are the first words of the commands that have some.
var verbs = map[string][]string{
	"audit":     {"verify", "tail"},
	"proposals": {"list", "show", "approve", "reject", "edit"},
}

// argument are the values of the word at a position, by what the command calls it.
func (r *run) argument(cmd *cli.Command, position int) []candidate {
	if v := verbs[cmd.Name]; v != nil && position == 0 {
		var out []candidate
		for _, word := range v {
			out = append(out, candidate{word, ""})
		}
		return out
	}
	names := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(cmd.ArgsUsage))
	if verbs[cmd.Name] != nil {
		names = []string{"VERB", "IDENTITY"}
	}
	if position >= len(names) {
		return nil
	}
	switch strings.TrimSuffix(names[position], "...") {
	case "AGENT":
		return r.agents()
	case "IDENTITY":
		return r.identities()
	case "METHOD":
		return []candidate{{"GET", ""}, {"HEAD", ""}, {"POST", ""}, {"PUT", ""}, {"PATCH", ""}, {"DELETE", ""}}
	case "SHELL":
		return []candidate{{"bash", ""}, {"fish", ""}, {"zsh", ""}}
	}
	return nil
}

// agents are those that `start` would find.
func (r *run) agents() []candidate {
	home, err := r.home()
	if err != nil {
		return nil
	}
	dirs := []string{home.Agents()}
	if cwd, err := os.Getwd(); err == nil {
		dirs = append(dirs, filepath.Join(cwd, ".bottle", "agents"))
	}
	var out []candidate
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.md"))
		for _, f := range files {
			name := strings.TrimSuffix(filepath.Base(f), ".md")
			known := slices.ContainsFunc(out, func(c candidate) bool { return c.word == name })
			if bottle.CheckName(name) == nil && !known { // so that no name of a file acts on a shell
				out = append(out, candidate{name, dir})
			}
		}
	}
	return out
}

// identities are the bottles of this home, with their recorded states.
func (r *run) identities() []candidate {
	home, err := r.home()
	if err != nil {
		return nil
	}
	ids, _ := home.Identities()
	var out []candidate
	for _, id := range ids {
		about := "damaged"
		if m, err := home.State(id).Current(); err == nil {
			about = m.State + ", " + m.StartedAt.Format("2006-01-02 15:04")
			if bottle.CheckName(m.Name) == nil {
				out = append(out, candidate{m.Name, string(id) + ", " + about})
			}
		}
		out = append(out, candidate{string(id), about})
	}
	return out
}
