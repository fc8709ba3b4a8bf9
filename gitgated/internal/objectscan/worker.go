package objectscan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/bottlesuite/bottle/gitgated/internal/packread"
)

// worker scans batches of objects, from the packs where it can.
type worker struct {
	scan  *Scan
	packs []*packread.Reader
	git   reader
}

func (s *Scan) newWorker(packs []*packread.Pack) *worker {
	w := &worker{scan: s, git: reader{scan: s}}
	for _, p := range packs {
		w.packs = append(w.packs, p.NewReader())
	}
	return w
}

func (w *worker) run(ctx context.Context, batches <-chan []entry) error {
	for batch := range batches {
		left := batch[:0]
		for _, e := range batch {
			done, err := w.packed(e)
			if err != nil {
				return w.git.stop(err)
			}
			if !done {
				left = append(left, e)
			}
		}
		if err := w.git.all(ctx, left); err != nil {
			return w.git.stop(err)
		}
		if ctx.Err() != nil {
			return w.git.stop(context.Cause(ctx))
		}
	}
	return w.git.stop(nil)
}

// packed scans an object if it can be read from a pack.
func (w *worker) packed(e entry) (done bool, err error) {
	for _, p := range w.packs {
		kind, data, err := p.Read(e.oid)
		if errors.Is(err, packread.ErrAskGit) {
			continue
		}
		if err != nil {
			return false, err
		}
		base, err := w.scan.take(e, kind, int64(len(data)))
		if err != nil {
			return false, err
		}
		return true, w.scan.whole(base, data)
	}
	return false, nil
}

// take counts an object in, if it may be as large as it is, and begins what is
// to be said about it.
func (s *Scan) take(e entry, kind string, size int64) (Finding, error) {
	if size > s.MaxObject {
		return Finding{}, fmt.Errorf("%w: %s has %d bytes", ErrLarge, strings.TrimSpace(e.path+" "+e.oid), size)
	}
	s.Objects.Add(1)
	s.Bytes.Add(size)
	base := Finding{Object: e.oid, Kind: kind, Path: printable(e.path), Commit: e.commit}
	if kind == "commit" || kind == "tag" {
		base.Path = ""
	}
	return base, nil
}

// whole scans an object that is in memory.
func (s *Scan) whole(base Finding, data []byte) error {
	switch base.Kind {
	case "tree":
		return s.tree(base, data)
	case "blob":
		return s.report(s.blob(base, data)...)
	}
	return s.report(placed(base, data, find(data))...)
}

// tree scans the names in a tree. Most commits change files and not names, so
// that the same list comes again and again; what was clean is clean.
func (s *Scan) tree(base Finding, data []byte) error {
	names := treeNames(data)
	sum := sha256.Sum256(names)
	if s.clean.has(sum) {
		return nil
	}
	hits := find(names)
	if len(hits) == 0 {
		s.clean.add(sum)
	}
	return s.report(named(base, hits)...)
}

// maxSums bounds what [sums] holds; past it names are just scanned again.
const maxSums = 1 << 16

// sums are digests of lists of names that were clean. It is safe for concurrent
// use.
type sums struct {
	mu  sync.RWMutex
	all map[[sha256.Size]byte]struct{}
}

func (s *sums) has(sum [sha256.Size]byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.all[sum]
	return ok
}

func (s *sums) add(sum [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[[sha256.Size]byte]struct{}{}
	}
	if len(s.all) < maxSums {
		s.all[sum] = struct{}{}
	}
}

// treeNames are the names of a tree's entries, one a line; the raw ids beside
// them would look like anything.
func treeNames(data []byte) []byte {
	names := make([]byte, 0, len(data))
	for len(data) > 0 {
		space, end := bytes.IndexByte(data, ' '), bytes.IndexByte(data, 0)
		if space < 0 || end < space || len(data) < end+21 {
			break // git's checks have refused such a tree before
		}
		names = append(append(names, data[space+1:end]...), '\n')
		data = data[end+21:]
	}
	return names
}
