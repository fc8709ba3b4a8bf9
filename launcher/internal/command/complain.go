package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bottlesuite/bottle/internal/secretscan"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// complain prints an error in one sentence, and the line of the file that it is
// about below. A secret that somebody has written where only its name belongs is
// masked in both.
func complain(w io.Writer, err error) {
	fmt.Fprintf(w, "launcher: %s\n", masked(err.Error()))
	var fault *wire.Error
	if !errors.As(err, &fault) {
		return
	}
	for line := range strings.Lines(fault.Excerpt(masked)) {
		fmt.Fprintf(w, "  %s\n", plain.String(strings.TrimSuffix(line, "\n")))
	}
}

// masked puts stars in the place of each character of what looks like a secret, so
// that a mark below the text still points where it should.
func masked(s string) string {
	b := []byte(s)
	for _, f := range secretscan.Field.FindAll(b) {
		for i := f.Offset; i < f.End && i < len(b); i++ {
			if b[i] != '\n' {
				b[i] = '*'
			}
		}
	}
	return string(b)
}
