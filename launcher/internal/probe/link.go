//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/internal/wire"
)

// cardFD is where the probe finds the machine's network card, if it was given it.
const cardFD = 3

// linkTime is how long the probe listens behind each attempt.
const linkTime = 250 * time.Millisecond

// sendFrames puts frames on the card as they are, and tells what arrives.
func sendFrames(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	if t.Link == nil {
		return errors.New("the task has no frames")
	}
	if _, err := unix.GetsockoptInt(cardFD, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return fmt.Errorf("the probe was not given the network card: %w", err)
	}
	for i, f := range t.Link.Frames {
		s := wire.ProbeSeen{Target: fmt.Sprintf("frame %d", i), Open: true, What: "sent"}
		if _, err := unix.Write(cardFD, f); err != nil {
			s.Open, s.What = false, word(err)
		}
		r.Seen = append(r.Seen, s)
	}
	return hear(r)
}

// hear reads the card for a while.
func hear(r *wire.ProbeReport) error {
	buf := make([]byte, 1<<17)
	for end := time.Now().Add(linkTime); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		ready := []unix.PollFd{{Fd: cardFD, Events: unix.POLLIN}}
		if n, err := unix.Poll(ready, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("the network card cannot be read: %w", err)
		} else if n <= 0 {
			continue
		}
		n, err := unix.Read(cardFD, buf)
		if err != nil {
			return fmt.Errorf("the network card cannot be read: %w", os.NewSyscallError("read", err))
		}
		if len(r.Heard) < wire.ProbeFrames {
			r.Heard = append(r.Heard, append([]byte(nil), buf[:min(n, wire.ProbeFrameBytes)]...))
		}
	}
}
