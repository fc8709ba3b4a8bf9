package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/provider"
	"github.com/bottlesuite/bottle/launcher/internal/subnet"
)

func (r *run) renderCommand() *cli.Command {
	return &cli.Command{
		Name: "render", Usage: "write a bottle as a directory that `docker compose up` runs as it is",
		ArgsUsage: "AGENT",
		Flags:     []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the directory to write, empty or new"}, buildNetworkFlag(), backendFlag()},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, false, "AGENT")
			if err != nil {
				return err
			}
			if c.String("output") == "" {
				return mendf("render needs a directory; give it with -o DIR")
			}
			machine, err := r.backend(c)
			if err != nil {
				return err
			}
			r.buildNetwork = c.String("build-network")
			return r.render(c.Context, w[0], c.String("output"), machine)
		},
	}
}

func (r *run) render(ctx context.Context, agent, dir string, machine bool) error {
	l, spec, err := r.spec(ctx, agent)
	if err != nil {
		return err
	}
	values, _ := r.tokens(spec.Bottle) // those at hand; the others come later, as files
	for ref, v := range values {
		spec.Known[ref] = v
	}
	spec.Machine = machine
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
	if spec.Bottle.Dockerfile != "" { // the one thing for which rendering asks the engine
		host, err := r.host()
		if err == nil {
			err = r.agentImage(ctx, host, spec)
		}
		if err != nil {
			return err
		}
	}
	files, err := spec.Files()
	if err != nil {
		return err
	}
	if machine {
		of, err := spec.MachineFiles("machine", files, nil)
		if err != nil {
			return err
		}
		files = append(files, of...)
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
	if spec.Machine {
		r.renderedMachine(spec, dir, say)
		return
	}
	p := spec.Bottle.Provider
	if p.HasHome() {
		say("docker compose --project-directory %s exec agent %s", dir, strings.Join(provider.CopyHome, " "))
	}
	given := ""
	for _, v := range spec.Bottle.Asked() {
		given += " -e " + v.Name
	}
	if given != "" {
		say("Export what the bottle asks for; it is in no file, and pipelockd does not look for it.")
	}
	say("docker compose --project-directory %s exec%s agent %s", dir, given, strings.Join(p.Command, " "))
	say("docker compose --project-directory %s down -v, when done.", dir)
	r.validUntil(spec)
}

// renderedMachine says how the rest of a bottle with a virtual machine is used.
func (r *run) renderedMachine(spec *bundle.Spec, dir string, say func(string, ...any)) {
	say("Copy bin/guest/guestinit, which `make guest` makes, to %s/machine/%s/guestinit.", dir, bundle.ShareDir)
	say("docker image save -o %s/machine/image.tar %s", dir, spec.AgentImage())
	say("Start the machine as docs/microvm.md says: %s/machine/%s is for smolvm, and %s/%s/%s is where the gateway takes it.", dir, bundle.SmolfileName, dir, bundle.NetDir, bundle.Socket)
	say("docker compose --project-directory %s down -v, when done.", dir)
	r.validUntil(spec)
}

func (r *run) validUntil(spec *bundle.Spec) {
	r.print("The certificates are valid until %s; the roots' keys were not kept.", spec.Keys.Pipelock.Cert.NotAfter.Format("2006-01-02"))
}
