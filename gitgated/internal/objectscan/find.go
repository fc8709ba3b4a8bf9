package objectscan

import (
	"bytes"
	"io"
	"slices"

	"github.com/bottlesuite/bottle/internal/secretscan"
)

// This file is the only one that knows the scanner.

// maxPerObject bounds how many findings one object is reported with.
const maxPerObject = 5

// hit is a secret at an offset.
type hit struct {
	rule, masked string
	at           int
}

// find returns the first secrets in data, plain or encoded. One that several rules
// know is named by the first of them, so that one approval is enough for it.
func find(data []byte) []hit {
	var hits []hit
	var kept []secretscan.Finding
	for _, f := range secretscan.ForGit().FindAll(data) {
		if len(hits) == maxPerObject {
			break
		}
		if slices.ContainsFunc(kept, func(k secretscan.Finding) bool { return f.Offset == k.Offset }) {
			continue
		}
		kept = append(kept, f)
		hits = append(hits, hit{f.Rule, f.Masked, f.Offset})
	}
	return hits
}

// findInStream looks through a stream with bounded memory, up to the first
// secret.
func findInStream(base Finding, in io.Reader) ([]Finding, error) {
	w := secretscan.ForGit().NewWindow()
	lines := &lineCounter{}
	buf := make([]byte, 256<<10)
	for {
		n, err := in.Read(buf)
		w.Write(buf[:n])
		lines.write(buf[:n])
		if _, found := w.Clean(err == io.EOF); found != nil {
			base.Rule, base.Masked, base.Line = found.Rule, found.Masked, lines.at(found.Offset)
			return []Finding{base}, nil
		}
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// lineCounter knows the line of an offset in what was written last.
type lineCounter struct {
	last   []byte
	before int // lines before last
	base   int // offset of last
}

func (l *lineCounter) write(p []byte) {
	l.before += bytes.Count(l.last, []byte("\n"))
	l.base += len(l.last)
	l.last = append(l.last[:0], p...)
}

func (l *lineCounter) at(offset int) int {
	i := min(max(offset-l.base, 0), len(l.last))
	return 1 + l.before + bytes.Count(l.last[:i], []byte("\n"))
}

// placed gives hits in data their lines.
func placed(base Finding, data []byte, hits []hit) []Finding {
	var out []Finding
	for _, h := range hits {
		f := base
		f.Rule, f.Masked = h.rule, h.masked
		f.Line = 1 + bytes.Count(data[:min(h.at, len(data))], []byte("\n"))
		out = append(out, f)
	}
	return out
}

// named are hits in names: their object's path is as far as they are placed, and
// the name itself is not repeated.
func named(base Finding, hits []hit) []Finding {
	var out []Finding
	for _, h := range hits {
		f := base
		f.Rule, f.Masked = h.rule, h.masked
		out = append(out, f)
	}
	return out
}

// Text looks for a secret in a short text, such as a ref's name.
func Text(s string) (rule, masked string, found bool) {
	f, found := secretscan.Field.Find([]byte(s))
	return f.Rule, f.Masked, found
}
