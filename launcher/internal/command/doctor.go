package command

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
	"github.com/bottlesuite/bottle/launcher/internal/subnet"
)

func (r *run) doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "check that this host has what a start needs",
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			return r.doctor(c.Context)
		},
	}
}

var errUnwell = errors.New("something that a start needs is missing; see the lines marked FAIL")

// doctor prints one line for each thing looked at.
func (r *run) doctor(ctx context.Context) error {
	healthy := true
	line := func(what, found string, err error) {
		if err != nil {
			healthy = false
			r.print("FAIL  %-15s %v", what, err)
			return
		}
		r.print("ok    %-15s %s", what, found)
	}
	home, err := bottle.FindHome(r.getenv)
	line("home", home.Dir, err)
	r.examineEngine(ctx, engine.New(r.getenv), line)
	root, err := bottle.TokenRoot(r.getenv, os.Getuid())
	line("tokens", "on a tmpfs, below "+root, err)
	pool, err := subnet.ParsePool(r.getenv(subnet.PoolVariable))
	if err == nil {
		_, err = subnet.Pick("doctor-00000", pool, subnet.HostRoutes())
	}
	line("addresses", "a /26 for each bottle, out of "+pool.String(), err)
	r.examineTrust(line)
	if !healthy {
		return errUnwell
	}
	return nil
}

func (r *run) examineEngine(ctx context.Context, e *engine.Engine, line func(what, found string, err error)) {
	info, err := e.Info(ctx)
	if err != nil {
		line("engine", "", err)
		return
	}
	line("engine", "Docker "+info.ServerVersion, info.Unfit())
	v, err := e.Compose(ctx)
	line("compose", fmt.Sprintf("%s (at least %s)", v, engine.MinCompose), err)
	for _, ref := range []string{compose.DefaultImages.Egressd, compose.DefaultImages.Pipelockd, compose.DefaultImages.Gitgated, compose.DefaultImages.Superviserd, compose.DefaultImages.Agent} {
		ids, err := e.Images(ctx, ref)
		line("image", fmt.Sprintf("%s %.19s", ref, ids[ref]), err)
	}
	runsc := "not installed; the agent shares the kernel with this host, behind the bottle's seccomp filter"
	if info.Runsc() {
		runsc = "installed; agents run under gVisor"
	}
	line("runsc", runsc, nil)
}

func (r *run) examineTrust(line func(what, found string, err error)) {
	t, err := pki.CollectTrust(r.getenv)
	if err != nil {
		line("roots", "", err)
		return
	}
	if len(t.Sources) == 0 {
		line("roots", "this host has none; pipelockd's own public roots hold", nil)
	}
	for _, s := range t.Sources {
		line("roots", fmt.Sprintf("%d from %s (%s), beside pipelockd's public ones", s.Count, s.Path, s.Name), nil)
	}
}
