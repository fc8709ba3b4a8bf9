package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
	"github.com/bottlesuite/bottle/launcher/internal/workspace"
)

func (r *run) copyOutCommand() *cli.Command {
	return &cli.Command{
		Name: "copy-out", Usage: "bring the agent's workspace to this host: shows what would change, asks, and leaves out what would run here by itself",
		ArgsUsage: "IDENTITY [DIR]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would change, and write nothing"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.StringSliceFlag{Name: "with", Usage: "also write this path although it is marked with !; may be repeated"},
			&cli.BoolFlag{Name: "delete", Usage: "also remove what the agent removed"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if r.tail != nil || c.Args().Len() < 1 || c.Args().Len() > 2 {
				return mendf("copy-out takes an identity and a directory; see `launcher copy-out --help`")
			}
			s, err := r.state(c.Args().Get(0))
			if err != nil {
				return err
			}
			m, err := s.Metadata()
			if err != nil {
				return err
			}
			dir := c.Args().Get(1)
			switch {
			case m.Mounted:
				return mendf("%s works on %s itself, which is mounted; there is nothing to copy", s.Identity, m.Workspace)
			case dir == "" && m.Workspace == "":
				return mendf("%s was not started with --cwd; name the directory to copy to", s.Identity)
			case dir == "":
				dir = m.Workspace
			}
			return r.copyOut(c, s, dir)
		},
	}
}

// copying is one copy out of a bottle.
type copying struct {
	tree        workspace.Tree
	left        []workspace.Left
	changes     []workspace.Change
	stage, host *os.Root
}

func (r *run) copyOut(c *cli.Context, s bottle.State, dir string) error {
	host, err := os.OpenRoot(dir)
	if err != nil {
		return mendf("cannot open the directory to copy to: %w", err)
	}
	defer host.Close()
	stageDir, err := os.MkdirTemp(s.Dir, "copy-out-")
	if err != nil {
		return fmt.Errorf("cannot make room for the copy: %w", err)
	}
	defer os.RemoveAll(stageDir)
	stage, err := os.OpenRoot(stageDir)
	if err != nil {
		return fmt.Errorf("cannot make room for the copy: %w", err)
	}
	defer stage.Close()
	k := &copying{stage: stage, host: host}
	if err := r.fetch(c.Context, s, k); err != nil {
		return err
	}
	if k.changes, err = workspace.Compare(k.tree, stage, host); err != nil {
		return err
	}
	chosen, err := k.choose(c.StringSlice("with"), c.Bool("delete"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := r.json(k.listed(chosen)); err != nil {
			return err
		}
	} else {
		r.showChanges(k, chosen, dir)
	}
	if c.Bool("dry-run") || len(chosen) == 0 {
		return nil
	}
	if !c.Bool("yes") {
		if !r.interactive() {
			return mendf("nobody can be asked here, because the input is not a terminal; look at it with --dry-run, then use --yes")
		}
		if err := r.confirm(c.Context, fmt.Sprintf("Write %d changes to %s?", len(chosen), dir)); err != nil {
			return err
		}
	}
	if err := workspace.Put(chosen, k.tree, stage, host); err != nil {
		return err
	}
	r.note("%d changes were written to %s", len(chosen), dir)
	return nil
}

// fetch takes the workspace out of the bottle and to pieces.
func (r *run) fetch(ctx context.Context, s bottle.State, k *copying) error {
	host, err := r.host()
	if err != nil {
		return err
	}
	return host.Workspace(ctx, s, func(prefix string, archive io.Reader) (err error) {
		k.tree, k.left, err = workspace.Unpack(archive, prefix, k.stage)
		return err
	})
}

// choose picks what is written: what is harmless, and what the operator names.
func (k *copying) choose(with []string, gone bool) ([]workspace.Change, error) {
	var chosen []workspace.Change
	for _, ch := range k.changes {
		named := slices.Contains(with, ch.Path)
		switch {
		case named && ch.Barred != "":
			return nil, mendf("%s cannot be written: %s", plain.Line(ch.Path), ch.Barred)
		case ch.Barred != "", ch.Risk != "" && !named, ch.What == workspace.Gone && !gone && !named:
			continue
		}
		chosen = append(chosen, ch)
	}
	for _, name := range with {
		if !slices.ContainsFunc(k.changes, func(ch workspace.Change) bool { return ch.Path == name }) {
			return nil, mendf("--with %s: nothing of that path would change", plain.Line(name))
		}
	}
	return chosen, nil
}

// listedChange is one object of `copy-out --json`.
type listedChange struct {
	workspace.Change
	Written bool `json:"written"`
}

func (k *copying) listed(chosen []workspace.Change) []listedChange {
	out := []listedChange{}
	for _, ch := range k.changes {
		out = append(out, listedChange{ch, slices.Contains(chosen, ch)})
	}
	for _, l := range k.left {
		out = append(out, listedChange{Change: workspace.Change{What: workspace.New, Path: l.Path, Barred: l.Why}})
	}
	return out
}

// showChanges prints one line for each change: + new, ~ changed, - gone, and with
// ! what is not written unless it is named.
func (r *run) showChanges(k *copying, chosen []workspace.Change, dir string) {
	if len(k.changes)+len(k.left) == 0 {
		r.print("The workspace is as %s is.", dir)
		return
	}
	signs := map[string]string{workspace.New: "+", workspace.Changed: "~", workspace.Gone: "-"}
	for _, ch := range k.changes {
		mark, why := " ", ""
		switch {
		case ch.Barred != "":
			mark, why = "!", ": cannot be written, "+ch.Barred
		case ch.Risk != "":
			mark, why = "!", ": "+ch.Risk
		case ch.What == workspace.Gone && !slices.Contains(chosen, ch):
			why = " (stays; --delete removes it)"
		}
		if ch.Risk != "" && slices.Contains(chosen, ch) {
			why += " (written, as you named it)"
		}
		r.print("%s %s", mark, plain.Line(signs[ch.What]+" "+ch.Path+why))
	}
	for _, l := range k.left {
		r.print("! + %s: left out, %s", plain.Line(l.Path), l.Why)
	}
	if n := len(k.changes) - len(chosen); n > 0 {
		r.print("%d of %d changes are left out; what is marked with ! is written only when it is named (--with PATH)", n, len(k.changes))
	}
}
