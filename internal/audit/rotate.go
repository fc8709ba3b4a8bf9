package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Rotation says when an audit file is set aside and how many of those stay. The
// chain goes on from file to file.
type Rotation struct {
	// MaxBytes is the size at which a file is full; 0 means never.
	MaxBytes int64
	// Keep is how many full files stay, the newest ones; 0 means all, so that
	// a full disk stops traffic instead of losing its record.
	Keep int
}

// segment is a file that was set aside: NAME.00001.jsonl stands before
// NAME.00002.jsonl, which stands before NAME.jsonl.
type segment struct {
	number int
	path   string
}

// segments returns what was set aside of an audit file, the oldest first.
func segments(file string) ([]segment, error) {
	stem, ext := split(file)
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("cannot list the audit files: %w", err)
	}
	var out []segment
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), filepath.Base(stem)+".")
		middle, isOurs := strings.CutSuffix(middle, ext)
		if n, err := strconv.Atoi(middle); ok && isOurs && err == nil && n > 0 && e.Type().IsRegular() {
			out = append(out, segment{n, filepath.Join(filepath.Dir(file), e.Name())})
		}
	}
	slices.SortFunc(out, func(a, b segment) int { return a.number - b.number })
	return out, nil
}

func split(file string) (stem, ext string) {
	ext = filepath.Ext(file)
	return strings.TrimSuffix(file, ext), ext
}

// lastOfSegments returns what the first line of an empty file follows.
func lastOfSegments(file string) (string, error) {
	all, err := segments(file)
	if err != nil || len(all) == 0 {
		return Genesis, err
	}
	f, err := os.Open(all[len(all)-1].path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	prev, _, err := lastHash(f)
	return prev, err
}

// makeRoom sets the file aside when it is full. After an error nothing has been
// written, and the next line tries again.
func (l *Log) makeRoom() error {
	if !l.moved && (l.rotation.MaxBytes == 0 || l.size < l.rotation.MaxBytes) {
		return nil
	}
	if !l.moved {
		if err := l.setAside(); err != nil {
			return fmt.Errorf("cannot rotate the audit log: %w", err)
		}
		l.moved = true
	}
	f, err := openActive(l.path)
	if err != nil {
		return err
	}
	l.moved = false
	_ = l.file.Close() // everything in it is written
	l.file, l.size = f, 0
	l.torn = false // a half line ends with its file
	l.prune()
	return nil
}

func (l *Log) setAside() error {
	all, err := segments(l.path)
	if err != nil {
		return err
	}
	next := 1
	if len(all) > 0 {
		next = all[len(all)-1].number + 1
	}
	stem, ext := split(l.path)
	target := fmt.Sprintf("%s.%05d%s", stem, next, ext)
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is in the way", target)
	}
	return os.Rename(l.path, target)
}

// prune removes the oldest files of those that were set aside. One that cannot
// be removed is tried again after the next rotation.
func (l *Log) prune() {
	all, err := segments(l.path)
	if err != nil || l.rotation.Keep == 0 {
		return
	}
	for _, s := range all[:max(0, len(all)-l.rotation.Keep)] {
		_ = os.Remove(s.path)
	}
}
