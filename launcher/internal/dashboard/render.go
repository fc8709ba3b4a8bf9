package dashboard

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// Looks, as SGR parameters. Meaning never hangs on colour alone.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	invert = "7"
)

func styled(style, text string) string { return "\x1b[" + style + "m" + text + "\x1b[0m" }

// screen gathers lines that fit the width.
type screen struct {
	b     strings.Builder
	width int
	lines int
}

var oneLine = strings.NewReplacer("\n", " ", "\t", " ")

// line adds one line: text of others, made plain and cut, in a style.
func (s *screen) line(style, format string, args ...any) {
	text := []rune(oneLine.Replace(plain.String(fmt.Sprintf(format, args...))))
	if len(text) > s.width {
		text = append(text[:max(0, s.width-1)], '…')
	}
	if style == "" {
		s.b.WriteString(string(text))
	} else {
		s.b.WriteString(styled(style, string(text)))
	}
	s.b.WriteByte('\n')
	s.lines++
}

func (s *screen) gap() { s.b.WriteByte('\n'); s.lines++ }

// render draws the whole screen.
func (m *model) render() string {
	s := &screen{width: max(40, m.width)}
	s.line(bold, "BOTTLES")
	if m.shown.Err != nil {
		s.line(red, "%v", m.shown.Err)
	}
	if len(m.shown.Bottles) == 0 {
		s.line(dim, "  No bottle is up.")
	}
	for _, b := range m.shown.Bottles {
		s.bottle(b)
	}
	s.gap()
	s.line(bold, "QUESTIONS (%d)", len(m.shown.Questions))
	for _, q := range m.shown.Questions {
		style, mark := "", " "
		if q.Proposal.ID == m.selected {
			style, mark = invert, ">"
		}
		s.line(style, "%s %s  %-16s %-28s %s", mark, q.Identity, q.Proposal.Tool, about(q.Proposal), ago(m.now().Sub(q.Proposal.CreatedAt.Time)))
	}
	if q, ok := m.question(); ok {
		s.gap()
		s.question(q, m.height-6)
	}
	s.gap()
	switch {
	case m.prompt != nil:
		s.line(yellow, "%s %s_", m.prompt.text, m.prompt.input)
	case m.note != "":
		s.line(yellow, "%s", m.note)
	default:
		s.gap()
	}
	s.line(dim, "a approve once  t for a time  g for good  e edit  r reject  up/down choose  q leave")
	return strings.TrimRight(s.b.String(), "\n")
}

func (s *screen) bottle(b Bottle) {
	style := green
	if b.State != "running" {
		style = red
	}
	t := b.Traffic
	s.line(style, "  %-20s %-10s %-9s %4d allowed  %4d denied a minute  %s out  %s in", b.Identity, b.Bottle, b.State, t.Allowed, t.Denied, size(t.BytesIn), size(t.BytesOut))
	for _, l := range t.Denials {
		s.line(dim, "      denied %s  %s %s%s  %s", clock(l.Time), l.Method, l.Host, l.Path, string(l.Reason))
	}
}

// question shows a proposal: why, what exactly, and what that would change.
func (s *screen) question(q Question, limit int) {
	s.line(bold, "WHY (in the agent's words)")
	s.line("", "  %s", q.Proposal.Justification)
	s.line(bold, "WHAT IT WOULD CHANGE")
	for _, l := range q.Lines {
		if l.Alarm {
			s.line(red, "! %s", l.Text)
		} else {
			s.line("", "  %s", l.Text)
		}
	}
	s.line(bold, "EXACTLY")
	for text := range strings.SplitSeq(exactly(q.Proposal), "\n") {
		if s.lines >= limit {
			s.line(dim, "  … `launcher proposals show %s` has the rest", q.Proposal.ID)
			return
		}
		indent := len(text) - len(strings.TrimLeft(text, " "))
		s.line("", strings.Repeat(" ", indent+2)+"%s", strings.TrimLeft(text, " "))
	}
}

func exactly(p wire.Proposal) string {
	switch {
	case p.Dockerfile != "":
		return strings.TrimRight(p.Dockerfile, "\n")
	case p.Host != "":
		return "host: " + p.Host
	}
	what := any(p.Route)
	if p.Finding != nil {
		what = p.Finding
	}
	text, err := yaml.Marshal(what)
	if err != nil {
		return err.Error()
	}
	return strings.TrimRight(string(text), "\n")
}

func about(p wire.Proposal) string {
	switch {
	case p.Route != nil:
		return p.Route.Host
	case p.Host != "":
		return p.Host
	case p.Finding != nil:
		return p.Finding.Rule + " in " + p.Finding.Remote
	}
	return "a program"
}

func ago(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s ago", int(max(0, d.Seconds())))
	}
	return fmt.Sprintf("%d min ago", int(d.Minutes()))
}

// clock is the time of day of an audit line.
func clock(ts string) string {
	if len(ts) >= 19 {
		return ts[11:19]
	}
	return ts
}

func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
