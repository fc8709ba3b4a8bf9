package launch

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/apply"
)

// sidecars reaches the sidecars of a bottle in their containers.
type sidecars struct {
	host *Host
	id   bottle.Identity
}

// Policy is the desk at which the policy of a bottle that is up is changed.
func (h *Host) Policy(id bottle.Identity) *apply.Desk {
	return &apply.Desk{State: h.Home.State(id), Sidecars: sidecars{h, id}}
}

// Validate implements [apply.Sidecars].
func (s sidecars) Validate(ctx context.Context, service, file string) error {
	return s.host.Engine.Validate(ctx, container(s.id, service), binaries[service], "/etc/bottle/"+file)
}

// Reload implements [apply.Sidecars].
func (s sidecars) Reload(ctx context.Context, service string) error {
	return s.host.Engine.Hangup(ctx, container(s.id, service))
}

// Status implements [apply.Sidecars].
func (s sidecars) Status(ctx context.Context, service string) (st wire.Status, err error) {
	out, err := s.host.Engine.Status(ctx, container(s.id, service), binaries[service])
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(out, &st); err != nil {
		return st, fmt.Errorf("the status of %s is not readable: %w", service, err)
	}
	return st, nil
}
