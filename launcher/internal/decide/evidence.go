package decide

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/wire"
)

// maxEvidence bounds the findings that are told of one object.
const maxEvidence = 8

// evidence is what the git gate itself recorded about a finding. Where a proposal
// says that the finding is, the agent says; this is from the audit, which it
// cannot write.
func (d *Desk) evidence(f wire.GitFinding) []change.Line {
	found, err := d.reported(f)
	if err != nil {
		return []change.Line{{Text: "the record of the git gate cannot be read, so nothing but the agent's word says what this is: " + err.Error(), Alarm: true}}
	}
	if len(found) == 0 {
		return []change.Line{{Text: "the git gate has not found this in any push so far: only the agent's word says what it is", Alarm: true}}
	}
	var lines []change.Line
	for i, text := range found {
		if i == maxEvidence {
			lines = append(lines, change.Line{Text: fmt.Sprintf("and %d more", len(found)-i), Alarm: true})
			break
		}
		lines = append(lines, change.Line{Text: "the git gate found " + text})
	}
	return lines
}

// reported reads the gate's words about a finding, each once.
func (d *Desk) reported(f wire.GitFinding) ([]string, error) {
	files, err := filepath.Glob(d.state().Path("audit", "git-gate", "gitgated*.jsonl"))
	if err != nil {
		return nil, err
	}
	var found []string
	path := "/" + f.Remote + ".git/" + f.Object
	for _, name := range files {
		err := eachLine(name, func(raw []byte) {
			if !bytes.Contains(raw, []byte(f.Object)) {
				return // most lines: they need no decoding
			}
			var l audit.Line
			if json.Unmarshal(raw, &l) != nil || l.Event != "finding" || l.Path != path || l.Rule != f.Rule {
				return
			}
			at := l.Time
			if t, err := time.Parse(time.RFC3339Nano, l.Time); err == nil {
				at = t.UTC().Format(time.TimeOnly)
			}
			if text := strings.TrimSuffix(l.Detail, ".") + ", at " + at; !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, strings.TrimSuffix(l.Detail, ".")) }) {
				found = append(found, text)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// eachLine calls f with each line of a file; longer ones than any audit line are
// an error.
func eachLine(name string, f func([]byte)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewScanner(file)
	in.Buffer(make([]byte, 64<<10), 1<<20)
	for in.Scan() {
		f(in.Bytes())
	}
	return in.Err()
}
