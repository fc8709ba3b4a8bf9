package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/test/trial"
)

// TestMain lets the test's own binary play the other parts.
func TestMain(m *testing.M) {
	if played, err := playRole(); played {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestEveryCaseIsMeasured runs the whole benchmark, in slices too short to mean
// anything.
func TestEveryCaseIsMeasured(t *testing.T) {
	bin, err := trial.Binaries("../../bin")
	if err != nil {
		t.Skip(err)
	}
	r, err := measure(t.Context(), options{bin: bin, rounds: 2, slice: 20 * time.Millisecond, processors: 1})
	if err != nil {
		t.Fatal(err)
	}
	var text, markdown, svg bytes.Buffer
	r.writeText(&text)
	r.writeMarkdown(&markdown)
	r.writeSVG(&svg)
	t.Log("\n" + text.String())
	for _, c := range cases {
		for _, way := range []string{"direct", "egressd", "egressd + pipelockd"} {
			x := r.find(c.Case, way)
			if x == nil || len(x.rounds) != 2 || x.p50() <= 0 || x.p99() < x.p50() {
				t.Errorf("%s, %s was not measured: %+v", c.Case, way, x)
			}
		}
		for name, out := range map[string]string{"text": text.String(), "markdown": markdown.String(), "plot": svg.String()} {
			if !strings.Contains(out, c.Case) {
				t.Errorf("%s is not in the %s", c.Case, name)
			}
		}
	}
	if len(r.resident) != 3 || r.resident[0].idle <= 0 || r.resident[0].peak < r.resident[0].idle {
		t.Errorf("memory: %+v", r.resident)
	}
}
