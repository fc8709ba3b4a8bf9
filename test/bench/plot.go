package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"time"
)

// Measures of the plot, in its own units.
const (
	plotLeft  = 330
	plotWidth = 480
	barHeight = 14
	caseGap   = 12
)

var colours = []string{"#9aa0a6", "#1a73e8", "#0b8043", "#d93025"}

// writeSVG draws the medians as bars on a logarithmic scale, since the cases
// are of different sizes.
func (r *report) writeSVG(w io.Writer) {
	low, high := time.Duration(math.MaxInt64), time.Duration(1)
	for _, x := range r.rows {
		low, high = min(low, x.p50()), max(high, x.p50())
	}
	floor := math.Floor(math.Log10(float64(max(low, 1))))
	span := max(math.Ceil(math.Log10(float64(high)))-floor, 1)
	at := func(d time.Duration) float64 {
		return plotLeft + plotWidth*(math.Log10(float64(max(d, 1)))-floor)/span
	}
	var ways []string
	groups := 0
	for i, x := range r.rows {
		if !slices.Contains(ways, x.way) {
			ways = append(ways, x.way)
		}
		if i == 0 || r.rows[i-1].job.Case != x.job.Case {
			groups++
		}
	}
	height := 40 + len(r.rows)*barHeight + groups*caseGap + 30
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", plotLeft+plotWidth+90, height)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" fill="#fff"/><text x="10" y="18" font-size="13">Median latency, logarithmic</text>`+"\n")
	for e := floor; e <= floor+span; e++ {
		d := time.Duration(math.Pow(10, e))
		fmt.Fprintf(w, `<line x1="%[1]g" y1="30" x2="%[1]g" y2="%[2]d" stroke="#ddd"/><text x="%[1]g" y="%[3]d" text-anchor="middle" fill="#666">%[4]s</text>`+"\n",
			at(d), height-22, height-8, d)
	}
	y := 34
	for i, x := range r.rows {
		if i > 0 && r.rows[i-1].job.Case != x.job.Case {
			y += caseGap
		}
		if i == 0 || r.rows[i-1].job.Case != x.job.Case {
			fmt.Fprintf(w, `<text x="10" y="%d">%s</text>`+"\n", y+11, html.EscapeString(x.job.Case))
		}
		fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end" fill="#666">%s</text>`, plotLeft-6, y+11, html.EscapeString(x.way))
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`,
			plotLeft, y+1, at(x.p50())-plotLeft, barHeight-2, colours[slices.Index(ways, x.way)%len(colours)])
		fmt.Fprintf(w, `<text x="%.1f" y="%d">%s</text>`+"\n", at(x.p50())+4, y+11, millis(x.p50()))
		y += barHeight
	}
	fmt.Fprintln(w, "</svg>")
}
