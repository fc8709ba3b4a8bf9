// Package pktline reads and writes the lines of git's wire protocol: four
// hexadecimal digits of length, then that many bytes, themselves included.
// Lengths below four are marks: flush (0000), delimiter (0001), end of response
// (0002). See gitprotocol-common(5).
package pktline

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Kind tells a line with data from the marks.
type Kind int

// The kinds.
const (
	Data Kind = iota
	Flush
	Delim
	End
)

// MaxData is the most that one line can hold.
const MaxData = 65516

// ErrSyntax is a length that is none.
var ErrSyntax = errors.New("not a line of git's protocol")

// Read reads one line. The data of a text line keeps its line end.
func Read(r io.Reader) ([]byte, Kind, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, Data, err
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil || head[0] == '+' {
		return nil, Data, fmt.Errorf("%w: its length is %q", ErrSyntax, head[:])
	}
	switch {
	case n < 3:
		return nil, Kind(n) + Flush, nil
	case n == 3 || n > MaxData+4:
		return nil, Data, fmt.Errorf("%w: its length is %d", ErrSyntax, n)
	}
	data := make([]byte, n-4)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, Data, io.ErrUnexpectedEOF
	}
	return data, Data, nil
}

// Write writes one line of at most [MaxData] bytes.
func Write(w io.Writer, data []byte) error {
	if len(data) > MaxData {
		return fmt.Errorf("%d bytes do not fit into a line of git's protocol", len(data))
	}
	_, err := w.Write(append(fmt.Appendf(make([]byte, 0, len(data)+4), "%04x", len(data)+4), data...))
	return err
}

// Writef writes one formatted line.
func Writef(w io.Writer, format string, args ...any) error {
	return Write(w, fmt.Appendf(nil, format, args...))
}

// WriteFlush writes the flush mark.
func WriteFlush(w io.Writer) error {
	_, err := io.WriteString(w, "0000")
	return err
}

// Band is one channel of a multiplexed answer (side-band-64k).
type Band struct {
	W io.Writer
	// Number is 1 for the report, 2 for what the user sees as "remote:" lines.
	Number byte
}

// Write sends p in as many lines as it needs.
func (b Band) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		piece := p[sent:min(len(p), sent+MaxData-1)]
		if err := Write(b.W, append([]byte{b.Number}, piece...)); err != nil {
			return sent, err
		}
		sent += len(piece)
	}
	return sent, nil
}
