package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Report says what a verified chain holds.
type Report struct {
	// Files are those that were read, the oldest first.
	Files []string
	// Lines are the good ones, Torn those that a crash or a full disk cut
	// short; the chain goes on from them.
	Lines, Torn int
	// Trimmed says that older files were removed by rotation, so that the
	// first line that is left follows one that nobody can check.
	Trimmed bool
}

// Verify reads one audit file from its first line on and checks its chain. It
// returns the number of good lines and, for the first broken one, an error that
// names it.
func Verify(r io.Reader) (lines int, err error) {
	v := verifier{prev: Genesis}
	if err = v.read(r); err == nil && v.tornLast {
		err = fmt.Errorf("line %d, the last, is cut short", v.report.Lines+v.report.Torn)
	}
	return v.report.Lines, err
}

// VerifyFiles checks the chain of an audit file and of all that was set aside of
// it. The error names the first broken line and its file.
func VerifyFiles(file string) (Report, error) {
	all, err := segments(file)
	if err != nil {
		return Report{}, err
	}
	v := verifier{prev: Genesis}
	if len(all) > 0 && all[0].number > 1 {
		v.prev, v.report.Trimmed = "", true
	}
	for i, s := range all {
		if i > 0 && s.number != all[i-1].number+1 {
			return v.report, fmt.Errorf("between %s and %s a file is missing", filepath.Base(all[i-1].path), filepath.Base(s.path))
		}
	}
	for _, s := range append(all, segment{path: file}) {
		f, err := os.Open(s.path)
		if err != nil {
			return v.report, fmt.Errorf("cannot read the audit log: %w", err)
		}
		err = v.read(f)
		_ = f.Close()
		if err != nil {
			return v.report, fmt.Errorf("%s: %w", filepath.Base(s.path), err)
		}
		v.report.Files = append(v.report.Files, s.path)
	}
	return v.report, nil
}

// verifier follows a chain over files.
type verifier struct {
	prev     string // "" takes any
	tornLast bool
	report   Report
}

// lineStart is how every line begins, and what a torn one has at least a part of.
const lineStart = `{"ts":`

func isTorn(line []byte) bool {
	return bytes.HasPrefix(line, []byte(lineStart)) || bytes.HasPrefix([]byte(lineStart), line)
}

func (v *verifier) read(r io.Reader) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 2*maxLine)
	for n := 1; s.Scan(); n++ {
		var l Line
		err := json.Unmarshal(s.Bytes(), &l)
		switch v.tornLast = err != nil; {
		case err != nil && !isTorn(s.Bytes()):
			return fmt.Errorf("line %d is not an audit line: %w", n, err)
		case err != nil:
			v.report.Torn++ // what follows it must name its hash
		case v.prev != "" && l.Prev != v.prev:
			return fmt.Errorf("line %d does not follow the line before it: a line was changed, removed or added", n)
		default:
			v.report.Lines++
		}
		v.prev = hash(s.Bytes())
	}
	return s.Err()
}
