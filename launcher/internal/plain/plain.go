// Package plain makes text of others fit to be printed on the operator's
// terminal. What an agent, or a server that it talked to, has written may hold
// escapes that move the cursor, rename the window, fill the clipboard or turn
// the reading direction; here each of them becomes a visible \x1b or \u202e, and
// a line that never ends is cut. What is printable stays as it is.
package plain

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLine bounds the bytes of a line that are shown.
const maxLine = 64 << 10

// String escapes all that is not printable but newline and tab.
func String(s string) string { return string(appendPlain(nil, []byte(s))) }

// Line is [String] on one line.
func Line(s string) string { return strings.Join(strings.Fields(String(s)), " ") }

// appendPlain appends text to dst, escaped.
func appendPlain(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = fmt.Appendf(dst, `\x%02x`, text[0])
		case r == '\n' || r == '\t' || strconv.IsPrint(r):
			dst = append(dst, text[:n]...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r < utf8.RuneSelf:
			dst = fmt.Appendf(dst, `\x%02x`, r)
		case r <= 0xffff:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		}
		text = text[n:]
	}
	return dst
}

// Writer passes on whole lines, each as [String] makes it. The end of a line
// that is longer than 64 KiB is counted instead of shown.
type Writer struct {
	to   io.Writer
	line []byte
	cut  int // bytes of the line that are not in it
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{to: w} }

// Write takes any part of a text.
func (w *Writer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		room := max(0, min(len(part), maxLine-len(w.line)))
		w.line = append(w.line, part[:room]...)
		w.cut += len(part) - room
		rest = after
		if !ended {
			break
		}
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// flush writes the line that was gathered.
func (w *Writer) flush() error {
	line := w.line
	if w.cut == 0 {
		line = bytes.TrimSuffix(line, []byte("\r")) // the line end of a terminal
	}
	out := appendPlain(nil, line)
	if w.cut > 0 {
		out = fmt.Appendf(out, " [%d more bytes]", w.cut)
	}
	w.line, w.cut = w.line[:0], 0
	_, err := w.to.Write(append(out, '\n'))
	return err
}

// Close writes the line that has no end. It leaves the underlying writer open.
func (w *Writer) Close() error {
	if len(w.line) == 0 {
		return nil
	}
	return w.flush()
}
