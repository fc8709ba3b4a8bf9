package queue

import (
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Desk takes proposals into a box. It is safe for concurrent use; a box has one.
type Desk struct {
	Box
	// Now is the clock, time.Now unless set.
	Now func() time.Time

	mu     sync.Mutex
	recent []time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Submit fills in what the agent does not say (version, time, id), checks the
// proposal and adds it to the box. Before is called with it first, and its error
// keeps it out. Again says that the same was asked already and waits; then that
// proposal is returned. An error is a [Refusal], or a fault of the disk.
func (d *Desk) Submit(p wire.Proposal, before func(wire.Proposal) error) (taken wire.Proposal, again bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	p.Version, p.CreatedAt, p.Justification = wire.Version, wire.At(now), Clean(p.Justification)
	if size := len(p.Justification) + len(p.Dockerfile) + len(p.FailedURL); size > MaxBytes {
		return p, false, &Refusal{Sentence: "the proposal is larger than 64 KiB; ask for less"}
	}
	if err := Check(p); err != nil {
		return p, false, &Refusal{Sentence: err.Error()}
	}
	p.ID = ID(p)
	if err := d.Prune(now); err != nil {
		return p, false, err
	}
	pending, err := d.Pending(now)
	if err != nil {
		return p, false, err
	}
	same, err := Admit(p, pending, d.recent, now)
	if err != nil {
		return p, false, err
	}
	if same != nil {
		return *same, true, nil
	}
	if err := before(p); err != nil {
		return p, false, err
	}
	d.recent = append(d.recent, now)
	if n := len(d.recent); n > PerMinute {
		d.recent = d.recent[n-PerMinute:]
	}
	return p, false, d.Put(p)
}
