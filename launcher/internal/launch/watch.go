package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// Lost is the end of a container while its bottle was up. Nothing is started
// again: without one of its proxies the agent is cut off, which is the safe side.
type Lost struct {
	Component string
	// What happened to it, as the end of a sentence that begins with its name.
	What string
	// Tail are its last lines.
	Tail string
}

func (l *Lost) Error() string { return l.Component + " " + l.What + " while the bottle was up" }

// Tell is the whole of it, for the operator.
func (l *Lost) Tell() string {
	s := l.Error()
	if l.Component != "agent" && l.Component != "superviserd" && l.Component != "gitgated" {
		s += ", so the agent has no way out any more"
	}
	if l.Tail != "" {
		s += "; its last lines were:\n" + indent(l.Tail)
	}
	return s
}

// missing is the first of the components that does not run, and what happened
// to it; "" when all do.
func missing(p parts, cs []engine.Container) (component, what string) {
	for _, name := range p.components() {
		i := slices.IndexFunc(cs, func(c engine.Container) bool { return c.Component() == name })
		switch {
		case i < 0:
			return name, "was removed"
		case cs[i].State.OOMKilled && !cs[i].State.Running:
			return name, "ran out of memory and was killed"
		case !cs[i].State.Running:
			return name, fmt.Sprintf("ended with status %d", cs[i].State.ExitCode)
		case cs[i].State.Paused:
			return name, "was paused"
		}
	}
	return "", ""
}

// Times between two looks at a bottle whose engine is away, and how many of
// them may fail.
const (
	lookAgain = time.Second
	maxBlind  = 15
)

// Watch looks after the containers of a bottle that is up. The channel gives at
// most one error, usually a [Lost], which the metadata tell by then, too; it is
// closed when the watch is over. Stop ends the watch and waits for that.
func (b *Bottle) Watch(ctx context.Context) (lost <-chan error, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	c, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		defer close(c)
		watched, over := b.watched(ctx)
		defer over()
		err := b.watch(watched)
		if l := (*Lost)(nil); errors.As(context.Cause(watched), &l) {
			err = l
		}
		if err == nil {
			return
		}
		b.meta.State, b.meta.Failure = bottle.StateDegraded, err.Error()
		if werr := b.state.WriteMetadata(b.meta); werr != nil {
			b.host.say("launcher: %v", werr)
		}
		c <- err
	}()
	return c, func() { cancel(); <-done }
}

// watch returns what happened to the bottle, or nil once the context is over.
func (b *Bottle) watch(ctx context.Context) error {
	for blind := 0; ctx.Err() == nil; {
		var found error
		stream, cancel := context.WithCancel(ctx)
		_ = b.host.Engine.Ends(stream, label(b.Spec.Identity), func() {
			var l *Lost
			if err := b.look(ctx); errors.As(err, &l) && found == nil {
				found = l
				cancel()
			}
		})
		cancel()
		if found != nil || ctx.Err() != nil {
			return found
		}
		// The stream ended by itself: the engine was restarted, or is gone.
		err := b.look(ctx)
		var l *Lost
		switch {
		case errors.As(err, &l):
			return l
		case err == nil:
			blind = 0
		case ctx.Err() == nil:
			if blind++; blind == maxBlind {
				return fmt.Errorf("the engine stopped answering while the bottle was up: %w", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain):
		}
	}
	return nil
}

// look returns a [Lost] when a container does not run, and another error when
// the engine does not tell.
func (b *Bottle) look(ctx context.Context) error {
	cs, err := b.host.Engine.Containers(ctx, label(b.Spec.Identity))
	if err != nil {
		return err
	}
	component, what := missing(b.parts(), cs)
	if component == "" {
		return nil
	}
	l := &Lost{Component: component, What: what}
	for _, c := range cs {
		if c.Component() == component {
			l.Tail = b.host.Engine.Tail(ctx, strings.TrimPrefix(c.Name, "/"), 5)
		}
	}
	return l
}

// Standing corrects the states of launches by what their containers do, and
// returns the containers' own, by identity and component. It asks the engine
// only when one of the launches is said to be up.
func (h *Host) Standing(ctx context.Context, all []bottle.Metadata) (map[bottle.Identity]map[string]string, error) {
	up := func(m bottle.Metadata) bool { return m.State == bottle.StateRunning || m.State == bottle.StateDegraded }
	if !slices.ContainsFunc(all, up) {
		return nil, nil
	}
	cs, err := h.Engine.Containers(ctx, engine.LabelOwner+"="+h.Home.Dir)
	if err != nil {
		return nil, fmt.Errorf("the states are the recorded ones, because the engine does not tell: %w", err)
	}
	states := map[bottle.Identity]map[string]string{}
	for i := range all {
		m := &all[i]
		if !up(*m) {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(cs), func(c engine.Container) bool {
			return c.Config.Labels[engine.LabelIdentity] != string(m.Identity)
		})
		states[m.Identity] = map[string]string{}
		for _, c := range own {
			states[m.Identity][c.Component()] = c.Condition()
		}
		if component, what := missing(partsOf(*m), own); component != "" {
			m.State = bottle.StateDegraded
			if m.Failure == "" {
				m.Failure = component + " " + what
			}
		}
	}
	return states, nil
}
