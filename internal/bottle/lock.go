package bottle

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrHeld is returned by [State.TryLock] while a launcher holds the lock.
var ErrHeld = errors.New("its launcher is still running")

// Lock is a held lock of a state directory. The kernel lets go of it when the
// process ends, however it ends.
type Lock struct{ f *os.File }

// Lock takes the lock of a directory that was just created. It waits out the
// moment for which [State.Held] may hold it.
func (s State) Lock() (*Lock, error) { return s.flock(syscall.LOCK_EX) }

// TryLock takes the lock, or returns [ErrHeld].
func (s State) TryLock() (*Lock, error) { return s.flock(syscall.LOCK_EX | syscall.LOCK_NB) }

// Held reports whether a launcher holds the lock.
func (s State) Held() bool {
	if _, err := os.Stat(s.Path("lock")); err != nil {
		return false
	}
	l, err := s.flock(syscall.LOCK_SH | syscall.LOCK_NB)
	if err != nil {
		return errors.Is(err, ErrHeld)
	}
	l.Release()
	return false
}

func (s State) flock(how int) (*Lock, error) {
	f, err := os.OpenFile(s.Path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock of %s: %w", s.Identity, err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return &Lock{f}, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%s: %w", s.Identity, ErrHeld)
	}
	return nil, fmt.Errorf("cannot lock the state of %s: %w", s.Identity, err)
}

// Release lets go of the lock.
func (l *Lock) Release() { _ = l.f.Close() }
