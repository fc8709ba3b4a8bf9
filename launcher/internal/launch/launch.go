// Package launch is the life of a bottle on the docker backend: it starts one,
// checks that the engine honoured what it was asked, runs the agent's command,
// and takes everything down again, whichever way the launcher ends. After a
// SIGKILL, [Cleanup] finds what is left by labels and state.
//
// The order of a start is: lock, certificates, files, tokens, engine, readiness,
// proof. Each step can fail, and a failure undoes all steps before it.
package launch

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// Host is where bottles are launched: the operator's home, environment and
// engine.
type Host struct {
	Home   bottle.Home
	Engine *engine.Engine
	// Getenv and Lookup look into the operator's environment.
	Getenv func(string) string
	Lookup func(string) (string, bool)
	UID    int
	GID    int
	// Progress takes one line for each thing that the operator may want to
	// know while waiting.
	Progress io.Writer
}

func (h *Host) say(format string, args ...any) { fmt.Fprintf(h.Progress, format+"\n", args...) }

// undoTime bounds a teardown.
const undoTime = 60 * time.Second

// undoing is a context for cleaning up after ctx, which may be over already.
func undoing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoTime)
}

// label finds everything of one identity.
func label(id bottle.Identity) string { return engine.LabelIdentity + "=" + string(id) }

// container is the name that Compose gives to the one container of a service.
func container(id bottle.Identity, service string) string {
	return "bottle-" + string(id) + "-" + service + "-1"
}

// State is the state directory of the bottle.
func (b *Bottle) State() bottle.State { return b.state }
