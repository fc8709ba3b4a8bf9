// Command capture draws a terminal's screens as an SVG image: what `tmux
// capture-pane -e -p` printed comes in, the image goes out. Several screens, each
// after a line of a form feed and the milliseconds since the beginning, become one
// that moves. The pictures in docs/ are made with it:
//
//	BOTTLE_CAPTURE=/tmp/screen go test ./test/e2e -run 'TestDashboard$'
//	go run ./test/capture </tmp/screen >docs/dashboard.svg
//	BOTTLE_CAPTURE=/tmp/screens go test ./test/e2e -run 'TestFirstRun$'
//	go run ./test/capture </tmp/screens >docs/first-run.svg
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Milliseconds: how long a screen stays at most, and the last one.
const (
	longest = 1500
	ending  = 5000
)

// screen is what stood on the terminal from a moment on.
type screen struct {
	at   int // milliseconds
	rows []string
}

func main() {
	screens := read(bufio.NewScanner(os.Stdin))
	var body strings.Builder
	columns, rows := 0, 0
	if len(screens) == 1 {
		columns, rows = paint(&body, screens[0])
	} else {
		columns, rows = move(&body, screens)
	}
	width, height := float64(columns)*cellWidth+2*margin, rows*cellHeight+2*margin
	fmt.Printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">`+"\n"+
		`<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>`+"\n%s</svg>\n", width, height, body.String())
}

// read takes screens apart. Waiting is cut short, so that nobody waits again.
func read(in *bufio.Scanner) []screen {
	all := []screen{{}}
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := in.Text()
		if mark, ok := strings.CutPrefix(line, "\f"); ok {
			at, err := strconv.Atoi(mark)
			if err != nil {
				fmt.Fprintf(os.Stderr, "capture: %q is no time\n", mark)
				os.Exit(1)
			}
			all = append(all, screen{at: at})
			continue
		}
		last := &all[len(all)-1]
		last.rows = append(last.rows, line)
	}
	if len(all[0].rows) == 0 && len(all) > 1 {
		all = all[1:]
	}
	begin, was, saved := all[0].at, all[0].at, 0
	for i := range all {
		saved += max(0, all[i].at-was-longest)
		was = all[i].at
		all[i].at -= saved + begin
	}
	return all
}

// move draws screens that follow one another, over and over.
func move(body *strings.Builder, screens []screen) (columns, rows int) {
	total := float64(screens[len(screens)-1].at + ending)
	for i, s := range screens {
		end := total
		if i+1 < len(screens) {
			end = float64(screens[i+1].at)
		}
		fmt.Fprintf(body, `<g visibility="hidden"><animate attributeName="visibility" calcMode="discrete" dur="%.2fs" repeatCount="indefinite" keyTimes="0;%.5f;%.5f" values="hidden;visible;hidden"/>`+"\n",
			total/1000, max(0.00001, float64(s.at)/total), min(0.99999, end/total))
		c, r := paint(body, s)
		columns, rows = max(columns, c), max(rows, r)
		body.WriteString("</g>\n")
	}
	return columns, rows
}
