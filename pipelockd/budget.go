package main

import (
	"context"
	"errors"
	"io"
	"time"
)

// Bounds of what bodies may occupy before they are on their way, for the whole
// process: a client that opens thousands of requests and lets them wait finds
// the door busy, and not dead.
const (
	unit       = 16 << 10
	budgetSize = 64 << 20
	// decoderCost is what a decompressor, its windows and its buffers take.
	decoderCost = 160 << 10
	// patience is how long a request waits for room.
	patience = 5 * time.Second
	// headTime is how long the part of a body may take that is judged before
	// the upstream hears of the request.
	headTime = 30 * time.Second
)

var errBusy = errors.New("too many bodies wait to be judged")

// budget hands out room for bodies, in units.
type budget struct {
	taken    chan struct{}
	patience time.Duration
}

func newBudget(size int, patience time.Duration) *budget {
	return &budget{make(chan struct{}, size/unit), patience}
}

// share is what one request has of the budget.
type share struct {
	of    *budget
	ctx   context.Context
	units int
	// refused says that there was no room, where the error itself is lost.
	refused bool
}

// grow raises the share to so many bytes. It waits until there is room, but not
// for long.
func (s *share) grow(bytes int) error {
	var late <-chan time.Time
	for s.units*unit < bytes {
		select {
		case s.of.taken <- struct{}{}:
			s.units++
			continue
		default:
		}
		if late == nil {
			t := time.NewTimer(s.of.patience)
			defer t.Stop()
			late = t.C
		}
		select {
		case s.of.taken <- struct{}{}:
			s.units++
		case <-late:
			s.refused = true
			return errBusy
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
	return nil
}

// add raises the share by so many bytes.
func (s *share) add(bytes int) error { return s.grow(s.units*unit + bytes) }

// release gives everything back.
func (s *share) release() {
	for ; s.units > 0; s.units-- {
		<-s.of.taken
	}
}

// readHead reads as much of a body as is judged whole, and says whether there is
// more. The buffer grows with what arrives, whatever was announced.
func readHead(body io.Reader, length int64, room *share) (head []byte, more bool, err error) {
	size := unit
	if length >= 0 && length < unit {
		size = int(length) + 1 // one more, to meet the end
	}
	for {
		if err := room.grow(size); err != nil {
			return nil, false, err
		}
		head = append(make([]byte, 0, size), head...)
		for len(head) < size {
			n, err := body.Read(head[len(head):size])
			head = head[:len(head)+n]
			if err == io.EOF {
				return head, len(head) > wholeBody, nil
			} else if err != nil {
				return nil, false, err
			}
		}
		if size > wholeBody {
			return head, true, nil
		}
		size = min(2*size, wholeBody+1)
	}
}

// paidBody takes room for what is read of it.
type paidBody struct {
	io.ReadCloser
	room *share // nil once it is free
}

// Read implements [io.Reader].
func (b *paidBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.room != nil && n > 0 {
		if busy := b.room.add(n); busy != nil {
			return 0, busy
		}
	}
	return n, err
}
