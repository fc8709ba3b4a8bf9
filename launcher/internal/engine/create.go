package engine

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bottlesuite/bottle/compose"
)

// makeTime bounds the making of a network, volume or container, which a cancelled launch
// waits for: what the engine makes later than its rollback looks would stay.
const makeTime = 30 * time.Second

// Create makes the networks and volumes and then the containers of a bottle, each
// at once. None is started. Done hears of each.
func (e *Engine) Create(ctx context.Context, c *compose.Creation, done func(what string)) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range c.Networks {
		g.Go(func() error {
			if err := e.make(gctx, "/networks/create", nil, n, nil); err != nil {
				return fmt.Errorf("the engine does not make the network %s: %w", n.Name, err)
			}
			done("network " + n.Name)
			return nil
		})
	}
	for _, v := range c.Volumes {
		g.Go(func() error {
			if err := e.make(gctx, "/volumes/create", nil, v, nil); err != nil {
				return fmt.Errorf("the engine does not make the volume %s: %w", v.Name, err)
			}
			done("volume " + v.Name)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	g, gctx = errgroup.WithContext(ctx)
	for _, r := range c.Containers {
		g.Go(func() error {
			if err := e.createContainer(gctx, r); err != nil {
				return fmt.Errorf("the engine does not make the container %s: %w", r.Name, err)
			}
			done("container " + r.Name)
			return nil
		})
	}
	return g.Wait()
}

// make asks for a thing and waits for the answer even when nobody wants it any
// more.
func (e *Engine) make(ctx context.Context, path string, query url.Values, body, out any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	mctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeTime)
	defer cancel()
	return e.call(mctx, "POST", path, query, body, out)
}

func (e *Engine) createContainer(ctx context.Context, r compose.ContainerRequest) error {
	var made struct{ ID string }
	if err := e.make(ctx, "/containers/create", url.Values{"name": {r.Name}}, r.Body, &made); err != nil {
		return err
	}
	for network, endpoint := range r.Joins {
		body := struct {
			Container      string
			EndpointConfig compose.Endpoint
		}{made.ID, endpoint}
		if err := e.make(ctx, "/networks/"+network+"/connect", nil, body, nil); err != nil {
			return fmt.Errorf("it does not join %s: %w", network, err)
		}
	}
	return nil
}

// Start starts containers that were created, all at once. Started hears of each,
// one after the other, with how many are to come. The order of a bottle does not rest on that of its
// containers: nothing of the agent's runs before all of them are proven.
func (e *Engine) Start(ctx context.Context, rs []compose.ContainerRequest, started func(r compose.ContainerRequest, left int)) error {
	var mu sync.Mutex
	left := len(rs)
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range rs {
		g.Go(func() error {
			if err := e.call(ctx, "POST", "/containers/"+r.Name+"/start", nil, nil, nil); err != nil {
				return fmt.Errorf("the engine does not start %s: %w", r.Service, err)
			}
			mu.Lock()
			defer mu.Unlock()
			left--
			started(r, left)
			return nil
		})
	}
	return g.Wait()
}
