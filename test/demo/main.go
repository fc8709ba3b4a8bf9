// Command demo starts a real bottle and shows, in a table, what an agent in it
// can and cannot do: for each attempt what happened, what the upstream saw, and
// the line of the audit log. It is `make demo`.
//
//  1. An allowed URL is fetched over HTTPS with a credential that the agent never
//     sees.
//  2. Another host, another path and another method are refused, and so is the
//     way around the proxy.
//  3. A POST with an AWS-shaped key is refused.
//  4. A package is installed by its ordinary client, from the registry that the
//     operator's own client is configured for.
//
// The private upstream of 1 to 3 is a TLS server in this process, on a
// documentation address that is put on the loopback interface for as long as the
// demo runs; that needs root, or a sudo that does not ask. The demo needs the
// binaries (`make build`), the images (`make images`) and an engine. It ends with
// a status other than 0 if anything behaved otherwise, and leaves nothing behind.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/test/trial"
	"github.com/bottlesuite/bottle/test/upstream"
)

// address is the demo's own among the documentation addresses.
const address = "198.51.100.10"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is the stage.
type demo struct {
	*sheet
	token    string
	port     string // of the upstream: 443, unless that needs privileges
	upstream *upstream.Server
	registry *registry // nil when there is none to be had
	bottle   *trial.Bottle
}

func run(ctx context.Context) (err error) {
	var undo []func() error
	defer func() {
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()
	bin, err := trial.Binaries("bin")
	if err != nil {
		return err
	}
	if err := trial.Engine(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bottle-demo-")
	if err != nil {
		return err
	}
	undo = append(undo, func() error { return os.RemoveAll(dir) })

	d := &demo{sheet: newSheet(os.Stdout), token: "ghp_" + rand.Text()[:18] + rand.Text()[:18]}
	if err := d.serve(dir, &undo); err != nil {
		return err
	}
	var why string
	if d.registry, why = findRegistry(ctx); d.registry == nil {
		d.fact("registry", "skipped: "+why)
	} else {
		d.fact("registry", d.registry.describe())
	}
	home := filepath.Join(dir, "home")
	if err := d.writeManifest(home, dir); err != nil {
		return err
	}
	began := time.Now()
	operator := trial.Operator{Bin: bin, Home: home, Dir: dir, Env: d.environ()}
	if d.bottle, err = operator.Start("demo"); err != nil {
		return fmt.Errorf("the bottle was not started: %w", err)
	}
	undo = append(undo, d.takeDown)
	d.fact("bottle", fmt.Sprintf("%s, up after %.1f s; the agent's environment holds no token, egressd has it", d.bottle.ID, time.Since(began).Seconds()))
	return d.play(ctx)
}

// serve starts the private upstream.
func (d *demo) serve(dir string, undo *[]func() error) error {
	giveBack, err := upstream.Borrow(address)
	if err != nil {
		return err
	}
	*undo = append(*undo, giveBack)
	for _, d.port = range []string{"443", "8443"} {
		d.upstream, err = upstream.Start(upstream.Config{
			Listen: net.JoinHostPort(address, d.port), Names: []string{"api.demo.example"}, Dir: dir,
		})
		if err == nil || !errors.Is(err, os.ErrPermission) {
			break
		}
	}
	if err != nil {
		return err
	}
	*undo = append(*undo, d.upstream.Close)
	d.fact("upstream", fmt.Sprintf("%s, a TLS server of this demo on %s, with an authority of its own", d.site("api"), address))
	return nil
}

// takeDown stops the bottle, as an operator would, and then removes its state.
func (d *demo) takeDown() error {
	if _, err := d.bottle.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	r, err := trial.Finish(d.bottle.Command(context.Background(), "cleanup", "--yes"), "")
	if err == nil && r.Status != 0 {
		err = fmt.Errorf("cleanup ended with %s", r)
	}
	return err
}

// site is a name of the demo as manifest and URL write it.
func (d *demo) site(name string) string {
	if name += ".demo.example"; d.port != "443" {
		name += ":" + d.port
	}
	return name
}
