package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

func (r *run) auditCommand() *cli.Command {
	return &cli.Command{
		Name: "audit", Usage: "check the chain of a bottle's audit logs, or show their lines: verify IDENTITY, tail IDENTITY",
		ArgsUsage: "verify|tail IDENTITY",
		Flags: []cli.Flag{
			jsonFlag,
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: 20, Usage: "tail: how many lines"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "tail: go on until a signal"},
			&cli.BoolFlag{Name: "denied", Usage: "tail: denials only"},
		},
		Action: func(c *cli.Context) error {
			verb := c.Args().Get(0)
			if r.tail != nil || c.Args().Len() != 2 || verb != "verify" && verb != "tail" {
				return mendf("audit takes verify or tail, and an identity; see `launcher audit --help`")
			}
			s, err := r.state(c.Args().Get(1))
			if err != nil {
				return err
			}
			if verb == "verify" {
				return r.verifyAudit(c, s)
			}
			return r.tailAudit(c, s)
		},
	}
}

// auditFiles are the files that components of a bottle write to.
func auditFiles(s bottle.State) ([]string, error) {
	all, err := filepath.Glob(s.Path("audit", "*", "*.jsonl"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(f string) bool { // what was set aside belongs to the file that is written to
		return strings.Count(filepath.Base(f), ".") > 1
	}), nil
}

// verified is one object of `audit verify --json`.
type verified struct {
	File    string `json:"file"`
	Lines   int    `json:"lines"`
	Torn    int    `json:"torn"`
	Trimmed bool   `json:"trimmed"`
	Error   string `json:"error,omitempty"`
}

var errBroken = errors.New("an audit log was changed, or a line of it is missing")

func (r *run) verifyAudit(c *cli.Context, s bottle.State) error {
	files, err := auditFiles(s)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no audit logs in %s", s.Identity, s.Path("audit"))
	}
	results, broken := []verified{}, error(nil)
	for _, f := range files {
		report, err := audit.VerifyFiles(f)
		rel, _ := filepath.Rel(s.Dir, f)
		v := verified{File: rel, Lines: report.Lines, Torn: report.Torn, Trimmed: report.Trimmed}
		if err != nil {
			v.Error, broken = err.Error(), errBroken
		}
		results = append(results, v)
	}
	if c.Bool("json") {
		return errors.Join(r.json(results), broken)
	}
	for _, v := range results {
		note := ""
		if v.Torn > 0 {
			note += fmt.Sprintf(", %d cut short by a crash", v.Torn)
		}
		if v.Trimmed {
			note += ", older files were removed by rotation"
		}
		if v.Error != "" {
			r.print("BROKEN  %s: %s", v.File, plain.Line(v.Error))
			continue
		}
		r.print("ok      %s: %d lines%s", v.File, v.Lines, note)
	}
	return broken
}

// followEvery is how often a followed log is looked at.
const followEvery = 300 * time.Millisecond

func (r *run) tailAudit(c *cli.Context, s bottle.State) error {
	seen := map[string]int64{}
	lines, err := newLines(s, seen)
	if err != nil {
		return err
	}
	if c.Bool("denied") {
		lines = denials(lines)
	}
	if n := len(lines) - max(0, c.Int("lines")); n > 0 {
		lines = lines[n:]
	}
	for {
		for _, l := range lines {
			if err := r.auditLine(c.Bool("json"), l); err != nil {
				return err
			}
		}
		if !c.Bool("follow") {
			return nil
		}
		select {
		case <-c.Context.Done():
			return nil
		case <-time.After(followEvery):
		}
		if lines, err = newLines(s, seen); err != nil {
			return err
		}
		if c.Bool("denied") {
			lines = denials(lines)
		}
	}
}

func denials(lines []audit.Line) []audit.Line {
	return slices.DeleteFunc(lines, func(l audit.Line) bool { return l.Decision != "deny" })
}

// newLines reads what was written since the last look, in the order of time.
func newLines(s bottle.State, seen map[string]int64) ([]audit.Line, error) {
	files, err := auditFiles(s)
	if err != nil {
		return nil, err
	}
	var all []audit.Line
	for _, f := range files {
		lines, at, err := audit.ReadFrom(f, seen[f])
		if err != nil {
			return nil, err
		}
		seen[f] = at
		all = append(all, lines...)
	}
	slices.SortStableFunc(all, func(a, b audit.Line) int { return strings.Compare(a.Time, b.Time) })
	return all, nil
}

func (r *run) auditLine(asJSON bool, l audit.Line) error {
	if asJSON {
		data, err := json.Marshal(l)
		if err != nil {
			return err
		}
		r.print("%s", data)
		return nil
	}
	what := strings.TrimSpace(l.Method + " " + l.Host + l.Path)
	tail := strings.TrimSpace(string(l.Reason) + " " + l.Rule + " " + l.Detail)
	r.print("%s  %-11s %-8s %-6s %s  %s", plain.Line(l.Time), plain.Line(l.Component), plain.Line(l.Event), plain.Line(string(l.Decision)), plain.Line(what), plain.Line(tail))
	return nil
}
