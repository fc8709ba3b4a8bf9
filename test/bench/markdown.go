package main

import (
	"fmt"
	"io"
	"strings"
)

func (r *report) writeMarkdown(w io.Writer) {
	name, command := "results", "make bench"
	if r.peers {
		name, command = "peers", "make bench-peers"
	}
	fmt.Fprintf(w, "# What the data path costs\n\nWritten by `%s`. %s\nWhat the columns mean stands in [README.md](README.md).\n\n![](%s.svg)\n\n", command, r.conditions(), name)
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	first := true
	r.table(func(cells []string) {
		line(cells)
		if first {
			fmt.Fprintln(w, strings.Repeat("|---", len(cells))+"|")
			first = false
		}
	})
	fmt.Fprintln(w)
	line(memoryHead)
	fmt.Fprintln(w, strings.Repeat("|---", len(memoryHead))+"|")
	for _, m := range r.resident {
		line(m.cells())
	}
}
