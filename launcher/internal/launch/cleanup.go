package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// Leftover is what is left of one launch.
type Leftover struct {
	Identity   bottle.Identity
	Containers int
	Networks   int
	Volume     bool
	Tokens     bool
	State      string // "" when there is no state directory
	Kept       bool   // the agent's home directory is there for a resume
	Disk       bool   // the disk of the agent's machine is
}

func (l Leftover) String() string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(l.Containers, "containers")
	add(l.Networks, "networks")
	if l.Volume {
		parts = append(parts, "a volume")
	}
	if l.Tokens {
		parts = append(parts, "token files")
	}
	if l.State != "" {
		parts = append(parts, "state ("+l.State+")")
	}
	if l.Kept {
		parts = append(parts, "the agent's home directory")
	}
	if l.Disk {
		parts = append(parts, "the disk of the agent's machine")
	}
	return string(l.Identity) + ": " + strings.Join(parts, ", ")
}

// Leftovers finds all launches of this home whose launcher is gone, by the
// engine's labels, the token directories and the state directories. Held are
// those that still run.
func (h *Host) Leftovers(ctx context.Context) (left []Leftover, held []bottle.Identity, err error) {
	found := map[bottle.Identity]*Leftover{}
	at := func(id bottle.Identity) *Leftover {
		if found[id] == nil {
			found[id] = &Leftover{Identity: id}
		}
		return found[id]
	}
	if err := h.labelled(ctx, at); err != nil {
		return nil, nil, err
	}
	if root, err := bottle.TokenRoot(h.Getenv, h.UID); err == nil {
		ids, err := bottle.TokenOwners(root, h.Home)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range ids {
			at(id).Tokens = true
		}
	}
	ids, err := h.Home.Identities()
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		m, err := h.Home.State(id).Current()
		if err != nil {
			m.State = "damaged"
		}
		at(id).State = m.State
		if _, err := os.Stat(h.Home.State(id).Path(snapshotFile)); err == nil {
			at(id).Kept = true
		}
		if k, err := layerOf(h.Home.State(id)).Find(id); err != nil || k != nil {
			at(id).Disk = true
		}
	}
	for id, l := range found {
		if h.Home.State(id).Held() {
			held = append(held, id)
		} else {
			left = append(left, *l)
		}
	}
	slices.SortFunc(left, func(a, b Leftover) int { return strings.Compare(string(a.Identity), string(b.Identity)) })
	slices.Sort(held)
	return left, held, nil
}

// labelled counts the engine's containers, networks and volumes of this home.
func (h *Host) labelled(ctx context.Context, at func(bottle.Identity) *Leftover) error {
	owner := engine.LabelOwner + "=" + h.Home.Dir
	cs, err := h.Engine.Containers(ctx, owner)
	if err != nil {
		return err
	}
	for _, c := range cs {
		if id, err := bottle.ParseIdentity(c.Config.Labels[engine.LabelIdentity]); err == nil {
			at(id).Containers++
		}
	}
	ns, err := h.Engine.Networks(ctx, owner)
	if err != nil {
		return err
	}
	for _, n := range ns {
		if id, err := bottle.ParseIdentity(n.Labels[engine.LabelIdentity]); err == nil {
			at(id).Networks++
		}
	}
	vs, err := h.Engine.Volumes(ctx, owner)
	if err != nil {
		return err
	}
	for _, v := range vs {
		if id, err := bottle.ParseIdentity(v.Labels[engine.LabelIdentity]); err == nil {
			at(id).Volume = true
		}
	}
	return nil
}

// Clean removes one leftover, unless its lock is taken after all.
func (h *Host) Clean(ctx context.Context, l Leftover) error {
	state := h.Home.State(l.Identity)
	if state.Exists() {
		lock, err := state.TryLock()
		if err != nil {
			return err
		}
		defer lock.Release()
	}
	if err := h.Engine.Remove(ctx, label(l.Identity)); err != nil {
		return err
	}
	if _, err := os.Stat(state.Path(dockerfile)); err == nil {
		h.Engine.RemoveImage(ctx, OwnImage(l.Identity))
	}
	var errs []error
	if root, err := bottle.TokenRoot(h.Getenv, h.UID); err == nil && l.Tokens {
		errs = append(errs, bottle.TokensOf(root, l.Identity).Remove())
	}
	if m, err := state.Metadata(); err == nil && m.Tokens != "" {
		errs = append(errs, removeRecorded(m))
	}
	return errors.Join(append(errs, state.Remove())...)
}

// removeRecorded removes the token directory that the metadata names, which may
// be below another XDG_RUNTIME_DIR than today's.
func removeRecorded(m bottle.Metadata) error {
	if !strings.HasSuffix(m.Tokens, "/"+string(m.Identity)) || !strings.Contains(m.Tokens, "/bottle-") {
		return fmt.Errorf("the metadata of %s name %q for its tokens, which it cannot be; remove it by hand", m.Identity, m.Tokens)
	}
	return bottle.Tokens{Dir: m.Tokens}.Remove()
}
