package manifest

import (
	"bytes"
	"unicode/utf8"

	"github.com/bottlesuite/bottle/internal/wire"
)

// readFront reads the front matter of a manifest into keys, a pointer to a struct.
// Kind is bottle or agent.
func readFront(kind, file string, data []byte, keys any) (doc *wire.Doc, body string, err error) {
	front, body, err := split(file, data)
	if err != nil {
		return nil, "", err
	}
	if doc, err = wire.Parse(file, front, 2); err != nil {
		return nil, "", err
	}
	if err := doc.Refuse(func(path string) string { return refusal(kind, path) }); err != nil {
		return nil, "", err
	}
	return doc, body, doc.Decode(keys)
}

// split cuts a manifest into its front matter and its body. The front matter
// begins on the second line of the file.
func split(file string, data []byte) (front []byte, body string, err error) {
	if i := firstInvalid(data); i >= 0 {
		return nil, "", wire.ErrorAt(file, data, 1+bytes.Count(data[:i], []byte("\n")), 1, "the file is not text in UTF-8; save it as such")
	}
	first, rest, ok := bytes.Cut(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), []byte("\n"))
	if !ok || !isFence(first) {
		return nil, "", wire.ErrorAt(file, data, 1, 1, "the file does not begin with front matter; put its keys between two lines of ---")
	}
	front = rest
	for at := 0; at < len(rest); {
		line, tail, _ := bytes.Cut(rest[at:], []byte("\n"))
		if isFence(line) {
			return orEmpty(front[:at]), string(tail), nil
		}
		at = len(rest) - len(tail)
	}
	return nil, "", wire.ErrorAt(file, data, 1, 1, "the front matter has no end; close it with a line of ---")
}

// orEmpty is front, or an empty mapping where it says nothing at all.
func orEmpty(front []byte) []byte {
	for line := range bytes.Lines(front) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return front
		}
	}
	return []byte("{}\n")
}

func isFence(line []byte) bool { return string(bytes.TrimRight(line, " \t\r")) == "---" }

// firstInvalid is the index of the first byte that is a NUL or not UTF-8, or -1.
func firstInvalid(data []byte) int {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
