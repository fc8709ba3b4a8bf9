package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/subnet"
)

func (r *run) renderCommand() *cli.Command {
	return &cli.Command{
		Name: "render", Usage: "write a bottle as a directory that `docker compose up` runs as it is",
		ArgsUsage: "AGENT",
		Flags:     []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the directory to write, empty or new"}},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, false, "AGENT")
			if err != nil {
				return err
			}
			if c.String("output") == "" {
				return mendf("render needs a directory; give it with -o DIR")
			}
			return r.render(c.Context, w[0], c.String("output"))
		},
	}
}

func (r *run) render(ctx context.Context, agent, dir string) error {
	l, spec, err := r.spec(ctx, agent)
	if err != nil {
		return err
	}
	values, _ := r.tokens(spec.Bottle) // those at hand; the others come later, as files
	for ref, v := range values {
		spec.Known[ref] = v
	}
	spec.Owner = "" // the operator's own to remove, not cleanup's
	pool, err := subnet.ParsePool(r.getenv(subnet.PoolVariable))
	if err != nil {
		return mend(err)
	}
	if spec.Block, err = subnet.Pick(string(spec.Identity), pool, subnet.HostRoutes()); err != nil {
		return mend(err)
	}
	if spec.Keys, err = bundle.NewKeys(spec.Identity, spec.Bottle); err != nil {
		return err
	}
	files, err := spec.Files()
	if err != nil {
		return err
	}
	made, err := emptyDir(dir)
	if err != nil {
		return err
	}
	if err := spec.Write(dir, files); err != nil {
		if made {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return err
	}
	for _, n := range l.Bottle.Notes() {
		r.note("note: %s", n)
	}
	r.rendered(spec, dir)
	return nil
}

// emptyDir makes a directory, or takes one with nothing in it.
func emptyDir(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return false, mendf("cannot create the directory: %w", err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return false, mendf("cannot create the directory: %w", err)
		}
		return true, nil
	case err != nil:
		return false, mendf("cannot use the directory: %w", err)
	case len(entries) > 0:
		return false, mendf("%s is not empty; give -o a new directory", dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it will hold keys
		return false, fmt.Errorf("cannot make %s private: %w", dir, err)
	}
	return false, nil
}

func (r *run) rendered(spec *bundle.Spec, dir string) {
	r.print("Rendered %s into %s.", spec.Identity, dir)
	step := 1
	say := func(format string, args ...any) {
		r.print("%d. "+format, append([]any{step}, args...)...)
		step++
	}
	refs := slices.Concat(spec.Bottle.TokenRefs(), spec.Bottle.GitSecretNames())
	slices.Sort(refs)
	if refs = slices.Compact(refs); len(refs) > 0 {
		say("Put each token into a file of its own on a tmpfs, mode 0400, owned by uid %d: %v", spec.UID, refs)
		say("cp %s/.env.example %s/.env, and name those files in it.", dir, dir)
	}
	say("docker compose --project-directory %s up -d", dir)
	say("docker compose --project-directory %s exec agent bash -l", dir)
	say("docker compose --project-directory %s down, when done.", dir)
	r.print("The certificates are valid until %s; the roots' keys were not kept.", spec.Keys.Pipelock.Cert.NotAfter.Format("2006-01-02"))
}
