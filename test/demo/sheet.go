package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// sheet prints the table: a row for each attempt, and below it the audit line.
// On a terminal it has colours; elsewhere it is plain text.
type sheet struct {
	out    io.Writer
	color  bool
	header bool
	good   int
	bad    int
	missed int
}

func newSheet(f *os.File) *sheet {
	fi, err := f.Stat()
	terminal := err == nil && fi.Mode()&os.ModeCharDevice != 0
	return &sheet{out: f, color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Styles, as SGR parameters.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (s *sheet) paint(style, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// fact prints what the stage is made of.
func (s *sheet) fact(name, value string) {
	fmt.Fprintf(s.out, "%s %s\n", s.paint(faint, fmt.Sprintf("%-9s", name)), value)
}

// Widths of the columns.
const (
	wideNumber   = 4
	wideTried    = 46
	wideHappened = 38
)

// row is one attempt.
type row struct {
	number, tried, happened, saw string
	// lines are the audit lines that belong to it.
	lines []audit.Line
	// note stands in for them where there can be none.
	note string
	// wrong says in what it differed from what was intended.
	wrong string
}

func (s *sheet) print(r row) {
	if !s.header {
		s.header = true
		fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, pad("  #", wideNumber+2)+pad("TRIED", wideTried)+pad("HAPPENED", wideHappened)+"UPSTREAM SAW"))
	}
	mark, style := "✓", green
	if r.wrong != "" {
		mark, style = "✗", red
		s.bad++
	} else {
		s.good++
	}
	fmt.Fprintf(s.out, "%s %s%s%s%s\n", s.paint(style, mark), pad(r.number, wideNumber), pad(r.tried, wideTried), s.paint(style, pad(r.happened, wideHappened)), r.saw)
	for _, l := range r.lines {
		fmt.Fprintf(s.out, "      %s\n", s.paint(faint, "audit  "+describe(l)))
	}
	if r.note != "" {
		fmt.Fprintf(s.out, "      %s\n", s.paint(faint, "audit  "+r.note))
	}
	if r.wrong != "" {
		fmt.Fprintf(s.out, "      %s\n", s.paint(red, "wrong: "+r.wrong))
	}
}

// skip prints a row that was not played.
func (s *sheet) skip(number, tried, why string) {
	s.missed++
	fmt.Fprintf(s.out, "%s %s%s%s\n", s.paint(cyan, "-"), pad(number, wideNumber), pad(tried, wideTried), s.paint(cyan, "skipped: "+why))
}

// end prints the sum, and is an error if anything went otherwise.
func (s *sheet) end() error {
	if s.bad > 0 {
		return fmt.Errorf("%d of %d attempts did not go as intended", s.bad, s.bad+s.good)
	}
	sum := fmt.Sprintf("%d of %d as intended", s.good, s.good)
	if s.missed > 0 {
		sum += fmt.Sprintf(", %d skipped", s.missed)
	}
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold+";"+green, sum))
	return nil
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(1, width-utf8.RuneCountInString(text)))
}

// describe writes an audit line in one short line.
func describe(l audit.Line) string {
	parts := []string{l.Component, string(l.Decision)}
	if l.Decision == policy.Deny {
		parts = append(parts, string(l.Reason))
	}
	if l.Rule != "" {
		parts = append(parts, l.Rule)
	}
	parts = append(parts, strings.TrimSpace(l.Method+" "+l.Host+l.Path))
	if l.Status != 0 {
		parts = append(parts, fmt.Sprint(l.Status))
	}
	if l.Duration > 0 {
		parts = append(parts, fmt.Sprintf("%.1f ms", float64(l.Duration)/1000))
	}
	return strings.Join(append(parts, l.RequestID), " · ")
}
