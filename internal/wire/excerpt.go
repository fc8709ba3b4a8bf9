package wire

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// lineOf is the nth line of a text, from 1, and "" where there is none.
func lineOf(data []byte, n int) string {
	for i := 1; i < n; i++ {
		_, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return ""
		}
		data = rest
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return string(bytes.TrimRight(line, "\r"))
}

// ErrorAt is an [*Error] at a line and column of a whole file, from 1.
func ErrorAt(file string, data []byte, line, column int, format string, args ...any) *Error {
	return &Error{File: file, Line: line, Column: column, Msg: fmt.Sprintf(format, args...), text: lineOf(data, line)}
}

// maxExcerpt bounds the characters of a line that are shown.
const maxExcerpt = 100

// Excerpt is the line that the error is about, with a mark below the value, as two
// lines, or "" when the file is not at hand. Mask sees the whole line before it is
// cut, and returns one of the same length. The text is as it stands in the file: who
// prints it makes it fit for a terminal.
//
//	4 |     - hots: a.example
//	  |       ^^^^
func (e *Error) Excerpt(mask func(line string) string) string {
	if strings.TrimSpace(e.text) == "" || !utf8.ValidString(e.text) {
		return ""
	}
	line := []rune(strings.ReplaceAll(mask(e.text), "\t", " "))
	at := min(max(e.Column-1, 0), len(line))
	if drop := at - maxExcerpt/2; drop > 0 && len(line) > maxExcerpt {
		line, at = append([]rune("..."), line[drop:]...), at-drop+3
	}
	if len(line) > maxExcerpt {
		line = append(line[:maxExcerpt:maxExcerpt], []rune("...")...)
	}
	number := fmt.Sprint(e.Line)
	marks := max(1, min(e.span, len(line)-at))
	return fmt.Sprintf("%s | %s\n%s | %s%s", number, strings.TrimRight(string(line), " "),
		strings.Repeat(" ", len(number)), strings.Repeat(" ", at), strings.Repeat("^", marks))
}
