package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
)

// Ends calls seen whenever a container with a label has ended, those included
// that ended before the call. It returns when the context is over or the engine
// goes away.
func (e *Engine) Ends(ctx context.Context, label string, seen func()) error {
	// All events since the epoch are those that the engine remembers; a label
	// that one launch alone has makes them few, and no clocks are compared.
	res, err := e.send(ctx, "GET", "/events", url.Values{
		"since": {"1"}, "filters": {`{"type":["container"],"event":["die"],"label":[` + quoted(label) + `]}`},
	}, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	for events := json.NewDecoder(res.Body); ; seen() {
		var event struct{}
		if err := events.Decode(&event); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("the engine's events ended: %w", err)
		}
	}
}

// quoted is a string in JSON.
func quoted(s string) string {
	data, _ := json.Marshal(s) // a string always can be
	return string(data)
}
