// Package dashboard is the operator's screen: the bottles with what they send, and
// what their agents ask for with what that would change. Decisions are made by
// the keys that its last line shows; package decide carries them out.
//
// What is shown is text from agents and servers; every line goes through package
// plain. [Render] is pure: a snapshot and a state of the screen in, text out.
package dashboard

import (
	"context"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/decide"
)

// Bottle is one bottle as the screen shows it.
type Bottle struct {
	Identity, Bottle, State string
	Traffic                 Traffic
}

// Traffic is what a bottle's audit logs tell of the last minute.
type Traffic struct {
	Allowed, Denied   int
	BytesIn, BytesOut int64
	Denials           []audit.Line // the last ones, newest last
}

// Question is a proposal that waits, with what it would change.
type Question struct {
	Identity string
	Proposal wire.Proposal
	Lines    []change.Line
}

// Snapshot is everything that is shown at a time.
type Snapshot struct {
	Bottles   []Bottle
	Questions []Question
	Err       error
}

// Actions are what the screen can do.
type Actions struct {
	Load    func(context.Context) Snapshot
	Approve func(context.Context, Question, decide.Approval) (string, error)
	Reject  func(context.Context, Question, string) (string, error)
	// Edit lets the operator change a proposal; nil is nothing to approve.
	Edit func(context.Context, wire.Proposal, io.Reader, io.Writer) (*wire.Proposal, error)
}

// refreshEvery is how often the screen is brought up to date.
const refreshEvery = time.Second

// prompt is a question to the operator at the foot of the screen.
type prompt struct {
	text  string
	input string
	done  func(input string) tea.Cmd
}

// model is the screen's state.
type model struct {
	ctx      context.Context
	do       Actions
	shown    Snapshot
	selected string // the id of the chosen question
	prompt   *prompt
	note     string
	width    int
	height   int
	now      func() time.Time
}

type (
	loaded Snapshot
	noted  string
	tick   struct{}
	edited struct {
		q Question
		p *wire.Proposal
		e error
	}
)

// Run shows the screen until the operator leaves it or ctx ends.
func Run(ctx context.Context, do Actions, in io.Reader, out io.Writer, env []string) error {
	m := &model{ctx: ctx, do: do, width: 100, height: 30, now: time.Now}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(env), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Init implements [tea.Model].
func (m *model) Init() tea.Cmd { return m.load }

func (m *model) load() tea.Msg { return loaded(m.do.Load(m.ctx)) }

// Update implements [tea.Model].
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case loaded:
		m.shown = Snapshot(msg)
		if _, ok := m.question(); !ok && len(m.shown.Questions) > 0 {
			m.selected = m.shown.Questions[0].Proposal.ID
		}
		return m, tea.Tick(refreshEvery, func(time.Time) tea.Msg { return tick{} })
	case tick:
		return m, m.load
	case noted:
		m.note = string(msg)
	case edited:
		return m, m.afterEdit(msg)
	case tea.KeyPressMsg:
		if m.prompt != nil {
			return m, m.typed(msg)
		}
		return m, m.press(msg.String())
	}
	return m, nil
}

// View implements [tea.Model].
func (m *model) View() tea.View {
	v := tea.NewView(m.render())
	v.AltScreen = true
	v.WindowTitle = "bottles"
	return v
}

// question is the chosen one.
func (m *model) question() (Question, bool) {
	for _, q := range m.shown.Questions {
		if q.Proposal.ID == m.selected {
			return q, true
		}
	}
	return Question{}, false
}

// move chooses another question.
func (m *model) move(by int) {
	for i, q := range m.shown.Questions {
		if j := i + by; q.Proposal.ID == m.selected && j >= 0 && j < len(m.shown.Questions) {
			m.selected = m.shown.Questions[j].Proposal.ID
			return
		}
	}
}

// press acts on a key.
func (m *model) press(key string) tea.Cmd {
	switch key {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	}
	q, ok := m.question()
	if !ok {
		return nil
	}
	approve := func(a decide.Approval) tea.Cmd {
		return m.act(func() (string, error) { return m.do.Approve(m.ctx, q, a) })
	}
	switch key {
	case "a":
		m.ask("Approve until the bottle stops? y/n", func(in string) tea.Cmd { return m.ifYes(in, approve(decide.Approval{Scope: wire.ScopeOnce})) })
	case "t":
		m.ask("Approve for how long? (60s, 15m, 8h)", func(in string) tea.Cmd {
			d, err := time.ParseDuration(strings.TrimSpace(in))
			if err != nil {
				m.note = "That is not a time such as 15m; nothing was approved."
				return nil
			}
			return approve(decide.Approval{Scope: wire.ScopeFor, For: d})
		})
	case "g":
		m.ask("Approve for good, and write it into the manifest? y/n", func(in string) tea.Cmd { return m.ifYes(in, approve(decide.Approval{Scope: wire.ScopeGood})) })
	case "r":
		m.ask("Reject with which reason?", func(in string) tea.Cmd {
			return m.act(func() (string, error) { return m.do.Reject(m.ctx, q, in) })
		})
	case "e":
		e := &editing{m: m, q: q}
		return tea.Exec(e, func(err error) tea.Msg { return edited{q, e.result, err} })
	}
	return nil
}

func (m *model) ifYes(in string, do tea.Cmd) tea.Cmd {
	if in := strings.ToLower(strings.TrimSpace(in)); in == "y" || in == "yes" {
		return do
	}
	m.note = "Nothing was approved."
	return nil
}

func (m *model) ask(text string, done func(string) tea.Cmd) {
	m.prompt = &prompt{text: text, done: done}
}

// act does something that takes a while, and tells what became of it.
func (m *model) act(f func() (string, error)) tea.Cmd {
	m.note = "Working…"
	return func() tea.Msg {
		text, err := f()
		if err != nil {
			text = "Not done: " + err.Error()
		}
		return noted(text)
	}
}

// typed edits the answer to a prompt.
func (m *model) typed(key tea.KeyPressMsg) tea.Cmd {
	p := m.prompt
	switch key.String() {
	case "enter":
		m.prompt = nil
		return p.done(p.input)
	case "esc", "ctrl+c":
		m.prompt = nil
	case "backspace":
		if r := []rune(p.input); len(r) > 0 {
			p.input = string(r[:len(r)-1])
		}
	default:
		if len(p.input) < 500 {
			p.input += key.Text
		}
	}
	return nil
}

// editing runs the operator's editor in place of the screen.
type editing struct {
	m      *model
	q      Question
	in     io.Reader
	out    io.Writer
	result *wire.Proposal
}

// Run implements [tea.ExecCommand].
func (e *editing) Run() (err error) {
	e.result, err = e.m.do.Edit(e.m.ctx, e.q.Proposal, e.in, e.out)
	return err
}

// SetStdin implements [tea.ExecCommand].
func (e *editing) SetStdin(r io.Reader) { e.in = r }

// SetStdout implements [tea.ExecCommand].
func (e *editing) SetStdout(w io.Writer) { e.out = w }

// SetStderr implements [tea.ExecCommand].
func (e *editing) SetStderr(io.Writer) {}

// afterEdit asks how far the edited proposal reaches.
func (m *model) afterEdit(e edited) tea.Cmd {
	if e.e != nil || e.p == nil {
		m.note = "Nothing was approved."
		if e.e != nil {
			m.note = "Nothing was approved: " + e.e.Error()
		}
		return nil
	}
	m.ask("Approve what you edited until the bottle stops (enter), or for how long?", func(in string) tea.Cmd {
		a := decide.Approval{Scope: wire.ScopeOnce, Edited: e.p}
		if in = strings.TrimSpace(in); in != "" {
			d, err := time.ParseDuration(in)
			if err != nil {
				m.note = "That is not a time such as 15m; nothing was approved."
				return nil
			}
			a.Scope, a.For = wire.ScopeFor, d
		}
		return m.act(func() (string, error) { return m.do.Approve(m.ctx, e.q, a) })
	})
	return nil
}
