package objectscan

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf16"

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

// find returns the first secrets in data.
func find(data []byte) []hit {
	var hits []hit
	for at := 0; len(hits) < maxPerObject; {
		f, ok := secretscan.Default.Find(data[at:])
		if !ok {
			break
		}
		hits = append(hits, hit{f.Rule, f.Masked, at + f.Offset})
		at += f.Offset + 2
	}
	return hits
}

// findText is find, also in text of two bytes a character.
func findText(data []byte) []hit {
	hits := find(data)
	if order := wide(data); order != nil && len(hits) == 0 {
		units := make([]uint16, len(data)/2)
		for i := range units {
			units[i] = order.Uint16(data[2*i:])
		}
		hits = find([]byte(string(utf16.Decode(units))))
		for i := range hits {
			hits[i].at *= 2 // about there
		}
	}
	return hits
}

// wide guesses whether data is UTF-16: by its mark, or by zeros in every second
// byte of its beginning.
func wide(data []byte) binary.ByteOrder {
	switch {
	case len(data) < 8:
		return nil
	case data[0] == 0xff && data[1] == 0xfe:
		return binary.LittleEndian
	case data[0] == 0xfe && data[1] == 0xff:
		return binary.BigEndian
	}
	var zeros [2]int
	head := data[:min(len(data), 512)&^1]
	for i, b := range head {
		if b == 0 {
			zeros[i&1]++
		}
	}
	switch half := len(head) / 2; {
	case zeros[1] > half*3/4 && zeros[0] < half/4:
		return binary.LittleEndian
	case zeros[0] > half*3/4 && zeros[1] < half/4:
		return binary.BigEndian
	}
	return nil
}

// findInStream looks through a stream with bounded memory, up to the first
// secret.
func findInStream(base Finding, in io.Reader) ([]Finding, error) {
	w := secretscan.Default.NewWindow()
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
	hits := find([]byte(s))
	if len(hits) == 0 {
		return "", "", false
	}
	return hits[0].rule, hits[0].masked, true
}
