package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
	"github.com/bottlesuite/bottle/launcher/internal/workspace"
)

// workspaceDir resolves the directory that becomes an agent's workspace, and
// refuses those that hold far more than a project.
func (r *run) workspaceDir(arg string) (string, error) {
	dir, err := filepath.Abs(arg)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", mendf("cannot find the workspace: %w", err)
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return "", mendf("the workspace %s is not a directory", dir)
	}
	home, err := r.home()
	if err != nil {
		return "", err
	}
	for what, not := range map[string]string{"your whole home directory": r.getenv("HOME"), "the home of your bottles, " + home.Dir + ",": home.Dir} {
		if real, err := filepath.EvalSymlinks(not); err == nil && not != "" && below(real, dir) {
			return "", mendf("the workspace %s holds %s; name a project's directory", dir, what)
		}
	}
	if below(dir, home.Dir) {
		return "", mendf("the workspace %s lies in the home of your bottles; name a project's directory", dir)
	}
	return dir, nil
}

// below reports whether path is dir, or lies in it.
func below(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// copyIn copies the workspace into a bottle that has just come up.
func (r *run) copyIn(ctx context.Context, b *launch.Bottle, tokens map[string]secret.String) error {
	secrets := workspace.Secrets{}
	for name, v := range tokens {
		secrets[name] = strings.TrimSpace(v.Reveal())
	}
	left, err := b.CopyIn(ctx, b.Spec.Workspace, secrets)
	for _, l := range left {
		r.note("left out of the workspace: %s", l)
	}
	if err != nil {
		return fmt.Errorf("%s was taken down again: %w", b.Spec.Identity, err)
	}
	return nil
}
