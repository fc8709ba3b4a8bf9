// Package objectscan looks for secrets in the objects of a push: every object
// that would be new to the upstream, once, of whatever kind, and the names of
// files. It asks git which objects these are (rev-list), reads their contents from
// the push's pack, and those that are large or elsewhere through git (cat-file), so
// a secret is found wherever it stands in the history that would
// leave, also in a file that a later commit of the same push removes, behind a
// merge, in a tag's message or a note.
//
// Nothing that is in the repository has a say in it.
package objectscan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/bottlesuite/bottle/gitgated/internal/packread"
)

// Finding is a secret, or something that cannot be read, in an object.
type Finding struct {
	// Rule names the kind of secret, or is one of the Rule constants.
	Rule string
	// Object is the id, Kind what it is: blob, tree, commit, tag.
	Object, Kind string
	// Path is the file's, with what is inside of an archive after "!"; "" for
	// commits and tags.
	Path string
	// Commit is the first one of the push that has it, "" when none does.
	Commit string
	Line   int
	// Masked is the public beginning of the secret.
	Masked string
	// Last says that the search of the object ended there. It cannot be
	// approved: that would clear what nobody has looked at.
	Last bool
}

// Rules of what cannot be read, and so not be cleared.
const (
	RuleArchiveDeep      = "archive-too-deep"
	RuleArchiveLarge     = "archive-too-large"
	RuleArchiveEncrypted = "archive-encrypted"
	RuleArchiveBroken    = "archive-unreadable"
)

// Scan is one search. Its fields are set before [Scan.Run].
type Scan struct {
	// Command prepares a git process on the quarantine.
	Command func(ctx context.Context, args ...string) *exec.Cmd
	// Start starts it; exec.Cmd.Start where nothing else is said.
	Start func(*exec.Cmd) error
	// Allowed reports whether a finding has been approved.
	Allowed func(object, rule string) bool
	// MaxObject is the largest object that is taken.
	MaxObject int64
	// MaxFindings ends the search; 20 if it is 0.
	MaxFindings int
	// Dir is for temporary files.
	Dir string
	// Packs is the directory of the quarantine's packs; "" asks git for everything.
	Packs string

	// Objects and Bytes count what was looked at, while it runs.
	Objects, Bytes atomic.Int64

	clean sums // lists of names

	mu       sync.Mutex
	findings []Finding
}

// ErrLarge is an object that is larger than MaxObject.
var ErrLarge = errors.New("an object is larger than one may be")

// ErrMissing is an object that the push refers to and does not bring.
var ErrMissing = errors.New("the push is not complete")

// errEnough ends a search that has found plenty.
var errEnough = errors.New("enough findings")

// entry is an object to look at.
type entry struct {
	oid, path, commit string
}

// batchSize is how many objects a worker takes at a time: their names fit into a
// pipe, so that asking git for them never blocks.
const batchSize = 256

// Run looks at everything that the ids lead to and no ref of the mirror does. It
// returns the findings in a stable order. The error wraps [ErrLarge] or
// [ErrMissing] if that is why the search ended.
func (s *Scan) Run(ctx context.Context, ids []string) ([]Finding, error) {
	if s.MaxFindings == 0 {
		s.MaxFindings = 20
	}
	if s.Start == nil {
		s.Start = (*exec.Cmd).Start
	}
	packs, err := s.open()
	defer func() {
		for _, p := range packs {
			_ = p.Close() // it was only read
		}
	}()
	if err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	batches := make(chan []entry, 4)
	g.Go(func() error {
		defer close(batches)
		return s.list(gctx, ids, batches)
	})
	for range min(max(runtime.GOMAXPROCS(0), 1), 4) {
		g.Go(func() error { return s.newWorker(packs).run(gctx, batches) })
	}
	err = g.Wait()
	if errors.Is(err, errEnough) {
		err = nil
	}
	slices.SortFunc(s.findings, func(a, b Finding) int {
		return strings.Compare(a.Path+"\x00"+a.Object+"\x00"+fmt.Sprintf("%09d", a.Line), b.Path+"\x00"+b.Object+"\x00"+fmt.Sprintf("%09d", b.Line))
	})
	return s.findings, err
}

// open opens the packs of the quarantine.
func (s *Scan) open() (packs []*packread.Pack, err error) {
	if s.Packs == "" {
		return nil, nil
	}
	indexes, err := filepath.Glob(filepath.Join(s.Packs, "*.idx"))
	if err != nil {
		return nil, err
	}
	for _, index := range indexes {
		p, err := packread.Open(index)
		if err != nil {
			return packs, err
		}
		packs = append(packs, p)
	}
	return packs, nil
}

// list sends the new objects, each once, oldest commit first.
func (s *Scan) list(ctx context.Context, ids []string, batches chan<- []entry) error {
	args := append([]string{"rev-list", "--objects", "--in-commit-order", "--reverse"}, ids...)
	cmd := s.Command(ctx, append(args, "--not", "--all")...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.Start(cmd); err != nil {
		return err
	}
	err = s.batch(ctx, out, batches)
	if err != nil {
		_ = cmd.Cancel()
		_ = cmd.Wait()
		return err
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: %s", ErrMissing, strings.TrimSpace(complaint.String()))
	}
	return nil
}

func (s *Scan) batch(ctx context.Context, out io.Reader, batches chan<- []entry) error {
	lines := bufio.NewReaderSize(out, 64<<10)
	commit := ""
	var now []entry
	send := func() error {
		if len(now) == 0 {
			return nil
		}
		select {
		case batches <- now:
			now = nil
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return send()
		}
		if err != nil {
			return err
		}
		oid, path, isObject := strings.Cut(line[:len(line)-1], " ")
		if !isObject {
			commit = oid
		}
		now = append(now, entry{oid, path, commit})
		if len(now) == batchSize {
			if err := send(); err != nil {
				return err
			}
		}
	}
}

// maxPerObject bounds how many findings one object is reported with.
const maxPerObject = 5

// report adds findings of one object, unless they were approved.
func (s *Scan) report(all ...Finding) error {
	all = slices.DeleteFunc(all, func(f Finding) bool { return s.Allowed != nil && !f.Last && s.Allowed(f.Object, f.Rule) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.findings = append(s.findings, all[:min(len(all), maxPerObject)]...)
	if len(s.findings) >= s.MaxFindings {
		return errEnough
	}
	return nil
}
