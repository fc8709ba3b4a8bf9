package objectscan

import (
	"bytes"
	"io"
	"slices"

	"github.com/bottlesuite/bottle/internal/secretscan"
)

// This file is the only one that knows the scanner.

// maxHits bounds how many secrets are looked for in one piece.
const maxHits = 1000

// hit is a secret between two offsets.
type hit struct {
	rule, masked string
	at, end      int
	// last says that the search ended with it.
	last bool
}

// find returns the secrets in data, plain or encoded. What several rules see in
// one place is one secret, under the name of the first of them: whoever is asked
// about it decides once.
func find(data []byte) []hit {
	var hits []hit
	for _, f := range secretscan.ForGit().FindAll(data) {
		if slices.ContainsFunc(hits, func(h hit) bool { return h.at == f.Offset || h.end == f.End }) {
			continue
		}
		hits = append(hits, hit{f.Rule, f.Masked, f.Offset, f.End, len(hits) == maxHits-1})
		if len(hits) == maxHits {
			break
		}
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
			base.Rule, base.Masked, base.Line, base.Last = found.Rule, found.Masked, lines.at(found.Offset), true
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
		f.Rule, f.Masked, f.Last = h.rule, h.masked, h.last
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
		f.Rule, f.Masked, f.Last = h.rule, h.masked, h.last
		out = append(out, f)
	}
	return out
}

// Text looks for a secret in a short text, such as a ref's name.
func Text(s string) (rule, masked string, found bool) {
	f, found := secretscan.Field.Find([]byte(s))
	return f.Rule, f.Masked, found
}
