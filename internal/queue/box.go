package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/wire"
)

// maxFile bounds a file of the box: a proposal in YAML may be somewhat longer
// than what it holds.
const maxFile = 2 * MaxBytes

// maxNames bounds the names that are looked at in a directory which somebody
// else may fill.
const maxNames = 10_000

const suffix = ".yaml"

// Box is the two directories of a queue.
type Box struct{ Proposals, Decisions string }

// Put adds a proposal.
func (b Box) Put(p wire.Proposal) error {
	data, err := yaml.Marshal(p)
	if err != nil {
		return fmt.Errorf("cannot encode a proposal: %w", err)
	}
	if len(data) > maxFile {
		return &Refusal{Sentence: fmt.Sprintf("the proposal is larger than %d KiB", MaxBytes>>10)}
	}
	return writeNew(b.Proposals, p.ID, data, 0o600)
}

// Decide adds a decision. It fails when there is one already. The file can be
// read by everybody who can enter the directory, as the sidecar does, which runs
// as another user.
func (b Box) Decide(d wire.Decision) error {
	if !ValidID(d.Proposal) {
		return fmt.Errorf("%q is not the id of a proposal", d.Proposal)
	}
	data, err := yaml.Marshal(d)
	if err != nil {
		return fmt.Errorf("cannot encode a decision: %w", err)
	}
	return writeNew(b.Decisions, d.Proposal, data, 0o644)
}

// ErrDecided is returned by [Box.Decide] when a proposal was decided before.
var ErrDecided = errors.New("this proposal is decided already")

// writeNew writes dir/id.yaml: whole, on the disk, and never over another.
func writeNew(dir, id string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("cannot write to the queue: %w", err)
	}
	defer os.Remove(f.Name())
	_, werr := f.Write(data)
	if err := errors.Join(werr, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write to the queue: %w", err)
	}
	switch err := os.Link(f.Name(), filepath.Join(dir, id+suffix)); { // fails where a rename would replace
	case errors.Is(err, fs.ErrExist):
		return ErrDecided
	case err != nil:
		return fmt.Errorf("cannot write to the queue: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot write to the queue: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Proposal reads one proposal, as untrusted as it is: a file that is not plain,
// too long, not of the schema, or not what its name says is an error.
func (b Box) Proposal(id string) (wire.Proposal, error) {
	var p wire.Proposal
	if err := read(b.Proposals, id, &p); err != nil {
		return p, err
	}
	if p.ID != id || ID(p) != id {
		return p, fmt.Errorf("the proposal %s is not what its name says: it was changed", id)
	}
	if err := Check(p); err != nil {
		return p, fmt.Errorf("the proposal %s is refused: %w", id, err)
	}
	return p, nil
}

// Decision reads the decision about a proposal, nil when there is none.
func (b Box) Decision(id string) (*wire.Decision, error) {
	var d wire.Decision
	err := read(b.Decisions, id, &d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && d.Proposal != id {
		err = fmt.Errorf("the decision %s is about another proposal", id)
	}
	return &d, err
}

// read decodes dir/id.yaml. Links are not followed and nothing blocks.
func read(dir, id string, v any) error {
	if !ValidID(id) {
		return fmt.Errorf("%q is not the id of a proposal: %w", id, fs.ErrNotExist)
	}
	f, err := os.OpenFile(filepath.Join(dir, id+suffix), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("cannot read from the queue: %w", err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > maxFile {
		return fmt.Errorf("%s of the queue is not a plain file of at most %d bytes", id, maxFile)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return fmt.Errorf("cannot read from the queue: %w", err)
	}
	return wire.Decode(id+suffix, data, 1, v)
}

// ids lists the names of a directory that are ids, sorted.
func ids(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list the queue: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(maxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot list the queue: %w", err)
	}
	var out []string
	for _, n := range names {
		if id, ok := strings.CutSuffix(n, suffix); ok && ValidID(id) {
			out = append(out, id)
		}
	}
	sort.Strings(out)
	return out, nil
}

// Item is a proposal with its decision, nil while it is pending.
type Item struct {
	Proposal wire.Proposal
	Decision *wire.Decision
}

// Items reads the whole queue, oldest first. What cannot be believed is counted
// in odd and left out.
func (b Box) Items() (items []Item, odd int, err error) {
	names, err := ids(b.Proposals)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range names {
		p, err := b.Proposal(id)
		if err != nil {
			odd++
			continue
		}
		d, err := b.Decision(id)
		if err != nil {
			return nil, odd, err // ours: it must be readable
		}
		items = append(items, Item{p, d})
	}
	sort.SliceStable(items, func(i, j int) bool {
		return items[i].Proposal.CreatedAt.Before(items[j].Proposal.CreatedAt.Time)
	})
	return items, odd, nil
}

// Pending are the proposals that wait for the operator, oldest first.
func (b Box) Pending(now time.Time) ([]wire.Proposal, error) {
	items, _, err := b.Items()
	if err != nil {
		return nil, err
	}
	var out []wire.Proposal
	for _, it := range items {
		if it.Decision == nil && !Expired(it.Proposal, now) {
			out = append(out, it.Proposal)
		}
	}
	return out, nil
}

// Prune removes the proposals that are older than [Lifetime], decided or not.
func (b Box) Prune(now time.Time) error {
	items, _, err := b.Items()
	if err != nil {
		return err
	}
	var errs []error
	for _, it := range items {
		if Expired(it.Proposal, now) {
			errs = append(errs, os.Remove(filepath.Join(b.Proposals, it.Proposal.ID+suffix)))
		}
	}
	return errors.Join(errs...)
}
