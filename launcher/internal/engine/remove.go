package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// Remove stops and deletes the containers and then the networks and volumes with a
// label, and comes back only when the engine lists none any more.
func (e *Engine) Remove(ctx context.Context, label string) error {
	ids, err := e.ids(ctx, label)
	if err != nil {
		return err
	}
	// Sidecars close their audit log on SIGTERM; the rest is not worth waiting for.
	_ = each(ids, func(id string) error {
		return e.call(ctx, "POST", "/containers/"+id+"/stop", url.Values{"t": {"2"}}, nil, nil)
	})
	if err := e.removeAll(ctx, "container", label, e.ids, "/containers/", url.Values{"force": {"1"}, "v": {"1"}}); err != nil {
		return err
	}
	return errors.Join(
		e.removeAll(ctx, "network", label, e.networkIDs, "/networks/", nil),
		e.removeAll(ctx, "volume", label, e.volumeNames, "/volumes/", nil))
}

func (e *Engine) volumeNames(ctx context.Context, label string) (names []string, err error) {
	vs, err := e.Volumes(ctx, label)
	for _, v := range vs {
		names = append(names, v.Name)
	}
	return names, err
}

func (e *Engine) networkIDs(ctx context.Context, label string) (ids []string, err error) {
	ns, err := e.Networks(ctx, label)
	for _, n := range ns {
		ids = append(ids, n.ID)
	}
	return ids, err
}

// removeAll removes what has a label, again while the engine is still busy with
// a part of it.
func (e *Engine) removeAll(ctx context.Context, kind, label string, list func(context.Context, string) ([]string, error), path string, how url.Values) error {
	var last error
	for range 30 {
		ids, err := list(ctx, label)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return nil
		}
		last = each(ids, func(id string) error {
			err := e.call(ctx, "DELETE", path+id, how, nil, nil)
			if missing(err) {
				return nil
			}
			return err
		})
		if last == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("cannot remove every %s of %s: %w", kind, label, last)
}

// each does something to all at once and returns the error of one that failed.
func each(ids []string, do func(id string) error) (err error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, id := range ids {
		all.Go(func() {
			if failed := do(id); failed != nil {
				mu.Lock()
				defer mu.Unlock()
				err = failed
			}
		})
	}
	all.Wait()
	return err
}
