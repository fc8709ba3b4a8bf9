package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/wire"
)

// edit opens a proposal in the operator's editor, and approves what is left.
func (r *run) edit(c *cli.Context, id string) error {
	a, err := approval(c)
	if err != nil {
		return err
	}
	d, p, err := r.proposal(id)
	if err != nil {
		return err
	}
	if a.Edited, err = r.editor(c.Context, p); err != nil {
		return err
	}
	return r.carryOut(c.Context, d, id, a)
}

// editable is the part of a proposal that an operator may change.
type editable struct {
	Route      *wire.Route `yaml:"route,omitempty"`
	Host       string      `yaml:"host,omitempty"`
	Dockerfile string      `yaml:"dockerfile,omitempty"`
}

const editHead = "# Change what is approved, save, and leave the editor. An empty file approves nothing.\n"

// editor runs $VISUAL or $EDITOR on a private file. The file's text was checked
// when the proposal was read, so it holds nothing that acts on a terminal.
func (r *run) editor(ctx context.Context, p wire.Proposal) (*wire.Proposal, error) {
	if p.Finding != nil {
		return nil, mendf("a finding is approved as it is or not at all; use `launcher proposals approve --for 1h %s`, or reject it", p.ID)
	}
	program := r.getenv("VISUAL")
	if program == "" {
		program = r.getenv("EDITOR")
	}
	if program == "" {
		return nil, mendf("neither VISUAL nor EDITOR is set; export EDITOR to edit a proposal")
	}
	dir, err := os.MkdirTemp("", "bottle-edit-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a file to edit: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, p.ID+".yaml")
	text, err := yaml.Marshal(editable{p.Route, p.Host, p.Dockerfile})
	if err == nil {
		err = os.WriteFile(file, append([]byte(editHead), text...), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a file to edit: %w", err)
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", program+` "$1"`, "sh", file) // as git does: EDITOR may have arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.stdio.In, r.stdio.Out, r.stdio.Err
	if err := cmd.Run(); err != nil {
		return nil, mendf("the editor ended with an error, so nothing was approved: %w", err)
	}
	data, err := os.ReadFile(file)
	if err != nil || len(data) > 2*queue.MaxBytes {
		return nil, errors.Join(err, errors.New("the edited file cannot be used"))
	}
	var e editable
	if err := wire.Decode(file, data, 1, &e); err != nil {
		return nil, mend(err)
	}
	p.Route, p.Host, p.Dockerfile = e.Route, e.Host, e.Dockerfile
	if e.Host == "" {
		p.FailedURL = ""
	}
	if p.Route == nil && p.Host == "" && p.Dockerfile == "" {
		return nil, errDeclined
	}
	return &p, nil
}
