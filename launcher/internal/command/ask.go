package command

import (
	"context"
	"fmt"

	"golang.org/x/term"

	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
)

// askable makes sure, before anything is made, that every question of a bottle
// will have an answer.
func (r *run) askable(b *manifest.Bottle) error {
	for _, v := range b.Asked() {
		given, ok := r.env[v.Name]
		if !ok && !r.interactive() {
			return b.Unanswered(v)
		}
		if ok {
			if err := b.CheckAnswer(v, given); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask takes the values that are asked for: from a variable of the operator's with
// the same name, so that a script can start the bottle, else from the terminal,
// without echo. The agent gets them, and pipelockd looks for them in what leaves.
func (r *run) ask(ctx context.Context, s *bundle.Spec) error {
	s.Asked = bundle.Secrets{}
	for _, v := range s.Bottle.Asked() {
		value, ok := r.env[v.Name]
		if !ok {
			var err error
			if value, err = r.hidden(ctx, fmt.Sprintf("%s (for %s): ", v.Ask, v.Name)); err != nil {
				return err
			}
		}
		if err := s.Bottle.CheckAnswer(v, value); err != nil {
			return err
		}
		s.Asked[v.Name] = secret.New(value)
		if err := bundle.CheckKnown(v.Name, value); err != nil {
			r.note("note: %v, so nothing keeps it from leaving", err)
			continue
		}
		s.Known[v.Name] = secret.New(value)
	}
	return nil
}

// hidden asks for a line of the terminal that is not shown.
func (r *run) hidden(ctx context.Context, prompt string) (string, error) {
	fd := int(fileOf(r.stdio.In).Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("cannot ask on this terminal: %w", err)
	}
	type answer struct {
		line []byte
		err  error
	}
	fmt.Fprint(r.stdio.Err, prompt)
	got := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		got <- answer{line, err}
	}()
	defer r.note("") // the end of the line that was not echoed
	select {
	case <-ctx.Done():
		_ = term.Restore(fd, before)
		return "", context.Cause(ctx)
	case a := <-got:
		if a.err != nil {
			return "", mendf("nothing was answered: %w", a.err)
		}
		return string(a.line), nil
	}
}
