// Package apply puts an approved change into force in a bottle that is up, and
// takes it out again when it ends.
//
// The sidecars' configurations are made anew from the manifest's policy and the
// grants that hold (package change). Each is judged by the sidecar itself before
// it is put in place by a rename, reloaded by a signal, and confirmed by the
// hash that the sidecar's status shows. A sidecar whose names change gets a new
// intermediate under the bottle's root; the configuration names its files, so
// that certificate, key and policy change in one step. When a sidecar does not
// confirm, all of them go back to what they had. Requests that are under way
// are not touched, because a reload does not touch them.
//
// Several launchers may act on one bottle; a lock lets one act at a time.
package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
)

// Sidecars reaches the sidecars of one bottle, by service ("egress").
type Sidecars interface {
	// Validate has a sidecar judge a file of its configuration directory.
	Validate(ctx context.Context, service, file string) error
	// Reload makes a sidecar read its configuration.
	Reload(ctx context.Context, service string) error
	// Status asks a sidecar what is in force.
	Status(ctx context.Context, service string) (wire.Status, error)
}

// Desk acts on the policy of one bottle.
type Desk struct {
	State    bottle.State
	Sidecars Sidecars
	// Now is the clock, time.Now unless set.
	Now func() time.Time
	// Patience bounds how long a sidecar may take to have a configuration in
	// force; 10 seconds unless set.
	Patience time.Duration
}

// Applied is what was done to one sidecar, for the record.
type Applied struct{ Service, Before, After string }

const patience = 10 * time.Second

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Lock keeps other launchers from acting on the policy until it is released.
func (d *Desk) Lock() (release func(), err error) {
	f, err := os.OpenFile(d.State.Path("policy", "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has no supervisor; start it from a bottle with `supervise: true`", d.State.Identity)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock the policy of %s: %w", d.State.Identity, err)
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock the policy of %s: %w", d.State.Identity, err)
	}
	return func() { _ = f.Close() }, nil
}

// Base is the policy that the manifest gave at the start.
func (d *Desk) Base() (change.Policy, error) {
	var v wire.Policy
	if err := wire.LoadFile(d.State.Path(bundle.BaseFile), &v); err != nil {
		return change.Policy{}, err
	}
	p := change.Policy{Allow: v.Pipelock.Allow}
	if v.Egress != nil {
		p.Egress, p.Routes = true, v.Egress.Routes
	}
	if v.Git != nil {
		p.Remotes = v.Git.Remotes
	}
	return p, nil
}

// Grants are the changes that were approved, those that have ended included
// until the next [Desk.Put].
func (d *Desk) Grants() ([]wire.Grant, error) { return Grants(d.State) }

// Grants reads the approved changes of a launch, none when it never had any.
func Grants(s bottle.State) ([]wire.Grant, error) {
	var g wire.Grants
	err := wire.LoadFile(s.Path(bundle.GrantsFile), &g)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return g.Grants, err
}

// Current is the policy in force: the manifest's with the grants that hold.
func (d *Desk) Current() (change.Policy, error) {
	base, err := d.Base()
	if err != nil {
		return base, err
	}
	grants, err := d.Grants()
	if err != nil {
		return base, err
	}
	return change.Apply(base, grants, d.now())
}

// Put makes grants the changes that hold, in every sidecar or in none. The caller
// has the lock.
func (d *Desk) Put(ctx context.Context, grants []wire.Grant) ([]Applied, error) {
	base, err := d.Base()
	if err != nil {
		return nil, err
	}
	policy, err := change.Apply(base, grants, d.now())
	if err != nil {
		return nil, fmt.Errorf("the change does not fit the policy: %w", err)
	}
	steps, err := d.steps(policy)
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		if err := d.stage(ctx, s); err != nil {
			return nil, errors.Join(err, d.forget(steps, false))
		}
	}
	before, err := os.ReadFile(d.State.Path(bundle.GrantsFile))
	if err != nil {
		return nil, errors.Join(err, d.forget(steps, false))
	}
	after, err := bundle.Encode(wire.Grants{Version: wire.Version, Grants: grants})
	if err == nil {
		err = replace(d.State.Path(bundle.GrantsFile), after, nil)
	}
	if err != nil {
		return nil, errors.Join(err, d.forget(steps, false))
	}
	var done []Applied
	for i, s := range steps {
		if err := d.swap(ctx, s); err != nil {
			err = fmt.Errorf("%s did not take the change, so nothing was changed: %w", s.service, err)
			return nil, errors.Join(err, d.back(ctx, steps[:i+1]), replace(d.State.Path(bundle.GrantsFile), before, nil), d.forget(steps, false))
		}
		done = append(done, Applied{s.service, hash(s.before), hash(s.after)})
	}
	return done, errors.Join(d.keep(steps), d.forget(steps, true))
}

// keep stores configurations under their hashes, so that the record, which names
// the hashes, can be read back as policy.
func (d *Desk) keep(steps []*step) error {
	dir := d.State.Path("policy", "history")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot keep what was in force: %w", err)
	}
	for _, s := range steps {
		for _, data := range [][]byte{s.before, s.after} {
			if err := os.WriteFile(filepath.Join(dir, hash(data)+".yaml"), data, 0o600); err != nil {
				return fmt.Errorf("cannot keep what was in force: %w", err)
			}
		}
	}
	return nil
}

// Sweep takes out the grants that have ended. It reports which.
func (d *Desk) Sweep(ctx context.Context) (ended []wire.Grant, done []Applied, err error) {
	grants, err := d.Grants()
	if err != nil {
		return nil, nil, err
	}
	var live []wire.Grant
	for _, g := range grants {
		if g.Expires.Past(d.now()) {
			ended = append(ended, g)
		} else {
			live = append(live, g)
		}
	}
	if len(ended) == 0 {
		return nil, nil, nil
	}
	done, err = d.Put(ctx, live)
	return ended, done, err
}

// stage writes what a step needs beside what is in place, and has the sidecar
// judge it.
func (d *Desk) stage(ctx context.Context, s *step) error {
	like, err := os.Stat(d.State.Path(s.file))
	if err != nil {
		return fmt.Errorf("cannot look at the configuration of %s: %w", s.service, err)
	}
	for _, f := range s.keys {
		if err := replace(d.State.Path(f.Path), f.Data, like); err != nil {
			return err
		}
	}
	if err := replace(d.State.Path(s.file)+next, s.after, like); err != nil {
		return err
	}
	if err := d.Sidecars.Validate(ctx, s.service, filepath.Base(s.file)+next); err != nil {
		return fmt.Errorf("%s refuses the new configuration, so nothing was changed: %w", s.service, err)
	}
	return nil
}

// next is what a configuration is called until it is put in place.
const next = ".next"

// swap puts a staged configuration in place and waits until it is in force.
func (d *Desk) swap(ctx context.Context, s *step) error {
	if err := os.Rename(d.State.Path(s.file)+next, d.State.Path(s.file)); err != nil {
		return err
	}
	return d.confirm(ctx, s.service, hash(s.after))
}

// confirm reloads a sidecar until its status shows the hash.
func (d *Desk) confirm(ctx context.Context, service, want string) error {
	limit := d.Patience
	if limit == 0 {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := d.Sidecars.Reload(ctx, service); err != nil {
		return err
	}
	for {
		st, err := d.Sidecars.Status(ctx, service)
		if err == nil && st.ConfigSHA256 == want {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil && st.LastError != "" {
				err = errors.New(st.LastError)
			}
			return errors.Join(fmt.Errorf("%s still has another configuration in force after %s", service, limit), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// back puts back what sidecars had. It goes on when one of them fails, and does
// not let an interrupt keep half of a change in force.
func (d *Desk) back(ctx context.Context, steps []*step) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, s := range steps {
		like, err := os.Stat(d.State.Path(s.file))
		if err == nil {
			err = replace(d.State.Path(s.file), s.before, like)
		}
		if err == nil {
			err = d.confirm(ctx, s.service, hash(s.before))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s could not be put back; stop the bottle: %w", s.service, err))
		}
	}
	return errors.Join(errs...)
}

// forget removes the files that a change left over: the new ones when it failed,
// the old ones when it did not.
func (d *Desk) forget(steps []*step, succeeded bool) error {
	var errs []error
	for _, s := range steps {
		_ = os.Remove(d.State.Path(s.file) + next)
		var files []string
		if len(s.keys) > 0 {
			files = s.oldKeys
			if !succeeded {
				files = []string{s.keys[0].Path, s.keys[1].Path}
			}
		}
		for _, f := range files {
			if err := os.Remove(d.State.Path(f)); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// replace writes a file by a rename, with mode and owner of another, or private.
func replace(path string, data []byte, like os.FileInfo) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if like != nil {
		err = errors.Join(err, f.Chmod(like.Mode().Perm()))
		if st, ok := like.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Getuid() {
			err = errors.Join(err, f.Chown(int(st.Uid), int(st.Gid)))
		}
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
