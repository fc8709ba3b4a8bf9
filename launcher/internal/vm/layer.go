package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// LayerBytes is as much as a machine can write to its disk.
const LayerBytes = 16 << 30

// Layer is the disk that holds what a machine writes, in a directory of its own.
// What is on it is the guest's word: a guest's kernel mounts it, and nothing of the
// host's ever reads what it holds.
//
// The disk outlives a launcher that was killed. Whoever has it open holds its lock,
// QEMU by the descriptor that it inherits, so that two machines never share it.
type Layer struct{ Dir string }

// Kept is what a disk belongs to that can be gone on with.
type Kept struct {
	Version  int             `json:"version"`
	Identity bottle.Identity `json:"identity"`
	// Image is the id of the image that the machine ran.
	Image string `json:"image"`
}

// LayerIn is the disk of the machine of a bottle, by the bottle's state directory.
func LayerIn(state string) Layer { return Layer{Dir: filepath.Join(state, "disk")} }

// File is the disk itself.
func (l Layer) File() string { return filepath.Join(l.Dir, "layer.ext4") }

func (l Layer) note() string { return filepath.Join(l.Dir, "layer.json") }

// KeepsLayer reports whether the disk of a driver's machine can be gone on with:
// its monitor must hold the lock of the disk.
func KeepsLayer(d Driver) bool { return d.Name() == "qemu" }

// Find returns what the disk belongs to, or nil when there is none to go on with. A
// disk that is not as it was left is an error, never a reason to make another.
func (l Layer) Find(id bottle.Identity) (*Kept, error) {
	data, err := os.ReadFile(l.note())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var k Kept
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err == nil && (k.Version != 1 || k.Identity != id || k.Image == "") {
		err = fmt.Errorf("it is of %q, version %d, over the image %q", k.Identity, k.Version, k.Image)
	}
	var fi os.FileInfo
	if err == nil {
		fi, err = os.Lstat(l.File())
	}
	if err == nil && (!fi.Mode().IsRegular() || fi.Size() != LayerBytes) {
		err = fmt.Errorf("%s is no file of %d bytes", l.File(), int64(LayerBytes))
	}
	if err != nil {
		return nil, &engine.Problem{
			What:   fmt.Sprintf("the machine's disk that %s tells of is not as it was left: %v", l.note(), err),
			Remedy: "put it back, or give up what the agent wrote by `launcher cleanup " + string(id) + "`",
		}
	}
	return &k, nil
}

// Noted reports whether the disk is one to go on with, whole or not.
func (l Layer) Noted() bool {
	_, err := os.Lstat(l.note())
	return err == nil
}

// Keep says that from now on the disk is one to go on with.
func (l Layer) Keep(k Kept) error {
	k.Version = 1
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := bottle.Replace(l.note(), append(data, '\n')); err != nil {
		return fmt.Errorf("cannot say whose the machine's disk is: %w", err)
	}
	return nil
}

// Remove removes the disk, first what says that it can be gone on with.
func (l Layer) Remove() error {
	err := os.Remove(l.note())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(l.Dir))
}

// endTime is how long a machine may take to end whose launcher was killed.
const endTime = 10 * time.Second

// Await waits until no machine has the disk open.
func (l Layer) Await(ctx context.Context) error {
	f, err := l.open(ctx)
	if err == nil {
		err = f.Close()
	}
	return err
}

// open opens the disk and takes its lock, which goes with the descriptor to whoever
// inherits it.
func (l Layer) open(ctx context.Context) (*os.File, error) {
	f, err := os.OpenFile(l.File(), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the machine's disk: %w", err)
	}
	for deadline := time.Now().Add(endTime); ; {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &engine.Problem{
			What:   fmt.Sprintf("another machine still has the disk %s open, %s later", l.File(), endTime),
			Remedy: "end its monitor (`fuser " + l.File() + "` tells which process it is) and try again",
		}
	}
	return nil, fmt.Errorf("cannot lock the machine's disk: %w", err)
}

// make makes the disk anew. It takes up space only as the machine fills it. A
// journal makes a file system out of it again whenever the machine is ended.
func (l Layer) make(ctx context.Context) error {
	if err := l.Remove(); err != nil {
		return fmt.Errorf("cannot make the machine's disk: %w", err)
	}
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the machine's disk: %w", err)
	}
	f, err := os.OpenFile(l.File(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = errors.Join(f.Truncate(LayerBytes), f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot make the machine's disk: %w", err)
	}
	mkfs, err := tool("mke2fs")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mkfs, "-q", "-F", "-t", "ext4", "-m", "0", "-O", "has_journal,^resize_inode", "-J", "size=32",
		"-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", l.File())
	cmd.Env = []string{}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make the machine's disk: %w: %.200s", err, out)
	}
	return nil
}
