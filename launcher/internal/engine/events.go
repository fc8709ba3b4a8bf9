package engine

import (
	"context"
	"fmt"
)

// Ends calls seen whenever containers with a label have ended, those included
// that ended before the call. It returns when the context is over or the engine
// goes away.
func (e *Engine) Ends(ctx context.Context, label string, seen func()) error {
	if e.path == "" {
		return errNoClient
	}
	// All events since the epoch are those that the engine remembers; a label
	// that one launch alone has makes them few, and no clocks are compared.
	cmd := e.command(ctx, "events", "--since", "1", "--filter", "type=container", "--filter", "event=die",
		"--filter", "label="+label, "--format", "{{.ID}}")
	cmd.Stdout = onWrite(seen)
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the engine's events ended: %w", err)
	}
	return context.Cause(ctx)
}

// onWrite is a writer that tells of what it is given.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}
