package launch

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
)

// asked is a file beside the tokens with what the operator answered, for the
// environment of each command that runs in the bottle. So the values are neither
// in compose.yaml nor in what the engine tells of a container, and end with the
// bottle. No container sees the file.
const asked = "asked.env"

// askedLines is the content of the file. A value is one line, by
// [manifest.Bottle.CheckAnswer].
func askedLines(values bundle.Secrets) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b.WriteString(name + "=" + values[name].Reveal() + "\n")
	}
	return b.String()
}

// askedFile is the path of the file, "" when nothing was asked.
func askedFile(t bottle.Tokens) string {
	if t.Dir == "" {
		return ""
	}
	if _, err := os.Stat(t.Path(asked)); err != nil {
		return ""
	}
	return t.Path(asked)
}
