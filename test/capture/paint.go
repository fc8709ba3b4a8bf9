package main

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Size of a character cell in pixels, and the margin around all.
const (
	cellWidth  = 8.4
	cellHeight = 18
	margin     = 14
)

var (
	sequence = regexp.MustCompile("\x1b\\[([0-9;]*)m")
	colours  = map[string]string{"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341"}
)

// paint draws one screen, and says how much of it is used.
func paint(body *strings.Builder, s screen) (columns, rows int) {
	for row, line := range s.rows {
		if strings.TrimSpace(sequence.ReplaceAllString(line, "")) != "" {
			rows = row + 1
		}
		style, column := "", 0
		for line != "" {
			text, next := line, ""
			if at := sequence.FindStringSubmatchIndex(line); at != nil {
				text, next = line[:at[0]], line[at[1]:]
				draw(body, text, column, row, style)
				style = change(style, line[at[2]:at[3]])
			} else {
				draw(body, text, column, row, style)
			}
			column += utf8.RuneCountInString(text)
			line = next
		}
		columns = max(columns, column)
	}
	return columns, rows
}

// change is a style after a sequence of parameters.
func change(style, parameters string) string {
	for p := range strings.SplitSeq(parameters, ";") {
		if p == "" || p == "0" {
			style = ""
		} else {
			style += " " + p
		}
	}
	return style
}

// draw writes a run of text that looks the same.
func draw(b *strings.Builder, text string, column, row int, style string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	fill, extra := "#c9d1d9", ""
	for p := range strings.SplitSeq(style, " ") {
		switch p {
		case "1":
			extra += ` font-weight="bold"`
		case "2":
			fill = "#8b949e"
		case "39":
			fill = "#c9d1d9"
		case "7":
			fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#30363d"/>`+"\n",
				margin+float64(column)*cellWidth, margin+row*cellHeight, float64(utf8.RuneCountInString(text))*cellWidth, cellHeight)
		default:
			if c := colours[p]; c != "" {
				fill = c
			}
		}
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%d" fill="%s"%s xml:space="preserve" textLength="%.1f">%s</text>`+"\n",
		margin+float64(column)*cellWidth, margin+row*cellHeight+cellHeight-4, fill, extra,
		float64(utf8.RuneCountInString(text))*cellWidth, html.EscapeString(text))
}
