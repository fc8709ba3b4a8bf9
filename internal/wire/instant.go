package wire

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"
)

// Instant is a moment of wall-clock time, written as RFC 3339 in UTC with whole
// seconds (2026-01-02T15:04:05Z). Its zero value is "never" or "not yet".
type Instant struct{ time.Time }

// At is the instant of t, cut to whole seconds and without t's monotonic
// reading, so that it compares as the clock on the wall does.
func At(t time.Time) Instant { return Instant{t.UTC().Truncate(time.Second)} }

// String writes the instant, and "" for its zero value.
func (i Instant) String() string {
	if i.IsZero() {
		return ""
	}
	return i.UTC().Format(time.RFC3339)
}

// Past reports whether the instant is set and not after now.
func (i Instant) Past(now time.Time) bool { return !i.IsZero() && !now.Before(i.Time) }

// UnmarshalYAML reads an instant from a scalar.
func (i *Instant) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse(time.RFC3339, n.Value)
	if err != nil || t.IsZero() {
		return fmt.Errorf("%q is not a time such as 2026-01-02T15:04:05Z", n.Value)
	}
	*i = At(t)
	return nil
}

// MarshalYAML writes the instant as [Instant.String] does.
func (i Instant) MarshalYAML() (any, error) { return i.String(), nil }
