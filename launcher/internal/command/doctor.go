package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
	"github.com/bottlesuite/bottle/launcher/internal/subnet"
)

func (r *run) doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "check that this host has what a start needs, and say what to do where it has not",
		Flags: []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			return r.doctor(c.Context, c.Bool("json"))
		},
	}
}

var errUnwell = errors.New("something that a start needs is missing; see what is marked FAIL")

// finding is one thing that the doctor looked at; an object of `doctor --json`.
type finding struct {
	What  string `json:"what"`
	OK    bool   `json:"ok"`
	Found string `json:"found"`
}

// doctor prints one line for each thing looked at.
func (r *run) doctor(ctx context.Context, asJSON bool) error {
	healthy, all := true, []finding{}
	line := func(what, found string, err error) {
		f, mark := finding{What: what, OK: err == nil, Found: found}, "ok  "
		if err != nil {
			healthy, f.Found, mark = false, err.Error(), "FAIL"
		}
		all = append(all, f)
		if !asJSON {
			r.print("%s  %-15s %s", mark, what, f.Found)
		}
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
	line("addresses", "a /27 for each bottle, out of "+pool.String(), err)
	ports, err := r.examinePorts()
	line("ports", ports, err)
	disk, err := roomFor(home.Dir)
	line("disk", disk, err)
	r.examineMachines(ctx, home.Dir, line)
	r.examineTrust(line)
	if asJSON {
		err = r.json(all)
	}
	if !healthy {
		return errUnwell
	}
	return err
}

type lineFunc func(what, found string, err error)

func (r *run) examineEngine(ctx context.Context, e *engine.Engine, line lineFunc) {
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
	runsc := "not installed, so the agent shares the kernel with this host, behind the bottle's seccomp filter; to change that, install gVisor and run `runsc install`"
	if info.Runsc() {
		runsc = "installed; agents run under gVisor"
	}
	line("runsc", runsc, nil)
	found, err := examineClock(time.Now(), info.SystemTime)
	line("clock", found, err)
	if info.DockerRootDir != "" && r.local() {
		found, err := roomFor(info.DockerRootDir)
		line("engine's disk", found, err)
	}
}

// maxSkew is how far the clocks may be apart: certificates are backdated by an
// hour, and approvals end by the minute.
const maxSkew = time.Minute

// examineClock compares this machine's clock with the engine's, which judges
// certificates in its containers, and with the time when this program was written.
func examineClock(now, engines time.Time) (string, error) {
	skew := now.Sub(engines).Abs().Round(time.Second)
	switch {
	case now.Year() < 2026:
		return "", fmt.Errorf("it says %s, before this program was written, so certificates would not be valid; set it, for example by `timedatectl set-ntp true`", now.Format(time.DateOnly))
	case engines.IsZero():
		return now.UTC().Format(time.RFC3339) + " (the engine does not tell its own)", nil
	case skew > maxSkew:
		return "", fmt.Errorf("it is %s apart from the engine's, so certificates and approvals would end at other times than you think; set both, for example by `timedatectl set-ntp true`", skew)
	}
	return now.UTC().Format(time.RFC3339) + ", as the engine's", nil
}

// local reports whether the engine is on this machine.
func (r *run) local() bool {
	host := r.getenv("DOCKER_HOST")
	return (host == "" || strings.HasPrefix(host, "unix://")) && r.getenv("DOCKER_CONTEXT") == ""
}

// examinePorts says by what door the engine is reached: who reaches it is root on
// its machine. Bottles themselves publish no port.
func (r *run) examinePorts() (string, error) {
	host := r.getenv("DOCKER_HOST")
	if strings.HasPrefix(host, "tcp://") && r.getenv("DOCKER_TLS_VERIFY") == "" {
		return "", fmt.Errorf("the engine is reached by %s without TLS, so whoever reaches that port is root there; use a unix socket or ssh://, or set DOCKER_TLS_VERIFY and DOCKER_CERT_PATH", host)
	}
	if host == "" {
		host = "its own socket"
	}
	return "a bottle publishes none; the engine is reached by " + host, nil
}

// minRoom is what a bottle may need for its logs, mirrors and a home directory.
const minRoom = 1 << 30

// roomFor says how much room there is where a directory is or will be.
func roomFor(dir string) (string, error) {
	free, inodes, err := room(dir)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot tell how much room there is for %s: %w", dir, err)
	case free < minRoom:
		return "", fmt.Errorf("only %d MiB are free for %s, and a full disk stops every bottle; make room (`launcher cleanup`, `docker system prune`), or move it to another disk", free>>20, dir)
	case inodes < 10000:
		return "", fmt.Errorf("only %d more files can be made for %s, and a full disk stops every bottle; remove some, or move it to another disk", inodes, dir)
	}
	return fmt.Sprintf("%d GiB free for %s", free>>30, dir), nil
}

func (r *run) examineTrust(line lineFunc) {
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
