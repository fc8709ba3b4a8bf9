package command

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange makes flags work wherever they stand: the library stops looking for
// flags at the first argument, so that `start demo --dry-run` would be a real
// start. It returns the arguments with a command's flags in front, and what
// follows "--", which is not the launcher's to read.
func arrange(app *cli.App, args []string) (head, tail []string, err error) {
	if i := slices.Index(args, "--"); i >= 0 {
		args, tail = args[:i], slices.Clone(args[i+1:])
		if tail == nil {
			tail = []string{}
		}
	}
	if len(args) < 2 {
		return args, tail, nil
	}
	cmd := app.Command(args[1])
	if cmd == nil {
		return args, tail, nil
	}
	var flags, words []string
	for rest := args[2:]; len(rest) > 0; {
		n := flagLength(cmd, rest[0])
		if n > len(rest) {
			return nil, nil, mendf("the flag %s needs a value", rest[0])
		}
		if n == 0 {
			words, rest = append(words, rest[0]), rest[1:]
			continue
		}
		flags, rest = append(flags, rest[:n]...), rest[n:]
	}
	head = slices.Concat(args[:2], flags)
	if len(words) > 0 {
		head = append(append(head, "--"), words...)
	}
	return head, tail, nil
}

// flagLength is the number of arguments that a flag takes up, itself included,
// and 0 when arg is no flag. An unknown flag counts as one, for the library to
// complain about.
func flagLength(cmd *cli.Command, arg string) int {
	if len(arg) < 2 || arg[0] != '-' {
		return 0
	}
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return 1
	}
	for _, f := range cmd.Flags {
		if _, isBool := f.(*cli.BoolFlag); !isBool && slices.Contains(f.Names(), name) {
			return 2
		}
	}
	return 1
}

// words returns the arguments of a command, which must be as many as names, and
// refuses a command after "--" unless it is wanted.
func (r *run) words(c *cli.Context, wantTail bool, names ...string) ([]string, error) {
	got := c.Args().Slice()
	switch {
	case len(got) < len(names):
		return nil, mendf("%s needs %s; see `launcher %s --help`", c.Command.Name, names[len(got)], c.Command.Name)
	case len(got) > len(names):
		hint := ""
		if wantTail {
			hint = " (a command to run stands after --)"
		}
		return nil, mendf("%s does not take the argument %q%s", c.Command.Name, got[len(names)], hint)
	case r.tail != nil && !wantTail:
		return nil, mendf("%s does not take a command after --", c.Command.Name)
	}
	return got, nil
}
