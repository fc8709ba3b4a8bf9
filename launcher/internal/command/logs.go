package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

func (r *run) logsCommand() *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "show what the containers of a bottle printed, in the order of time", ArgsUsage: "IDENTITY",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until the bottle stops"},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Usage: "only so many lines at the end; 0 is all"},
		},
		Action: func(c *cli.Context) error {
			s, m, err := r.named(c)
			if err != nil {
				return err
			}
			if c.Int("lines") < 0 {
				return mendf("--lines is a number of lines, or 0 for all")
			}
			return r.logs(c.Context, s, m, c.Bool("follow"), c.Int("lines"))
		},
	}
}

func (r *run) logs(ctx context.Context, s bottle.State, m bottle.Metadata, follow bool, last int) error {
	if m.State == bottle.StateStopped {
		lines, err := savedLogs(s)
		return errors.Join(r.inOrder(lines, last), err)
	}
	host, err := r.host()
	if err != nil {
		return err
	}
	project := compose.Project(string(s.Identity))
	if follow { // the lines to come are in order by themselves
		return host.Engine.Logs(ctx, project, true, last, engine.Streams{Out: r.stdio.Out, Err: r.stdio.Err})
	}
	var out bytes.Buffer
	err = host.Engine.Logs(ctx, project, false, 0, engine.Streams{Out: &out, Err: r.stdio.Err})
	lines := logLines{}
	for line := range strings.Lines(out.String()) {
		service, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " | ")
		if !ok {
			text, service = service, ""
		}
		lines.add(strings.TrimSpace(service), text)
	}
	return errors.Join(r.inOrder(lines, last), err)
}

// logLine is what a container printed.
type logLine struct{ service, at, text string }

// logLines are lines of several containers, those of each in their order.
type logLines []logLine

// add appends a line, whose time stands at its beginning. One without a time
// belongs to the line before it of the same container.
func (l *logLines) add(service, text string) {
	at, _, _ := strings.Cut(text, " ")
	if len(at) < len("2006-01-02T15:04:05Z") || at[4] != '-' || at[10] != 'T' {
		at = ""
		for i := len(*l) - 1; i >= 0 && at == ""; i-- {
			if (*l)[i].service == service {
				at = (*l)[i].at
				break
			}
		}
	}
	*l = append(*l, logLine{service, at, text})
}

// inOrder prints lines by time, the last of them.
func (r *run) inOrder(lines logLines, last int) error {
	slices.SortStableFunc(lines, func(a, b logLine) int { return strings.Compare(a.at, b.at) })
	if last > 0 && len(lines) > last {
		lines = lines[len(lines)-last:]
	}
	width := 0
	for _, l := range lines {
		width = max(width, len(l.service))
	}
	w := bufio.NewWriter(r.stdio.Out)
	for _, l := range lines {
		fmt.Fprintf(w, "%-*s | %s\n", width, l.service, l.text)
	}
	return w.Flush()
}

// savedLogs are the logs that were kept when the bottle stopped.
func savedLogs(s bottle.State) (lines logLines, err error) {
	files, _ := filepath.Glob(s.Path("logs", "*.log"))
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return lines, fmt.Errorf("cannot show a log: %w", err)
		}
		var text bytes.Buffer
		out := plain.NewWriter(&text)
		_, err = io.Copy(out, f)
		err = errors.Join(err, out.Close(), f.Close())
		for line := range strings.Lines(text.String()) {
			lines.add(strings.TrimSuffix(filepath.Base(file), ".log"), strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return lines, fmt.Errorf("cannot show a log: %w", err)
		}
	}
	return lines, nil
}
