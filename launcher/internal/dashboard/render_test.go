package dashboard

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/decide"
)

var update = flag.Bool("update", false, "rewrite the golden file")

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func snapshot() Snapshot {
	return Snapshot{
		Bottles: []Bottle{{Identity: "demo-4f9ka", Bottle: "dev", State: "running", Traffic: Traffic{
			Allowed: 41, Denied: 2, BytesIn: 20 << 10, BytesOut: 12 << 20,
			Denials: []audit.Line{{Time: "2026-01-02T03:04:01.000000Z", Method: "POST", Host: "api.example", Path: "/v1/\x1b[2Jjobs", Reason: "method_not_allowed"}},
		}}, {Identity: "demo-aaaaa", Bottle: "dev", State: "degraded"}},
		Questions: []Question{{Identity: "demo-4f9ka", Proposal: wire.Proposal{
			ID: "abcdefghijklmnop", Tool: wire.ToolEgress, CreatedAt: wire.At(epoch.Add(-42 * time.Second)), Justification: "To start\u202e the job.",
			Route: &wire.Route{Host: "api.example", Matches: []wire.Match{{Methods: []string{"POST"}}}},
		}, Lines: []change.Line{
			{Text: "adds POST to every path of api.example, before: GET under /v1", Alarm: true},
			{Text: "lets pipelockd connect to api.example"},
		}}},
	}
}

func newModel(do Actions) *model {
	m := &model{ctx: context.Background(), do: do, width: 100, height: 40, now: func() time.Time { return epoch }}
	m.Update(loaded(snapshot()))
	return m
}

func TestScreen(t *testing.T) {
	got := newModel(Actions{}).render()
	const file = "testdata/screen.golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the screen differs; run go test -update and look at it:\n%s", got)
	}
	for _, bad := range []string{"\x1b[2J", "\u202e"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q reached the screen", bad)
		}
	}
	for _, line := range strings.Split(got, "\n") {
		if n := len([]rune(line)); n > 100+len("\x1b[00m\x1b[0m") {
			t.Errorf("a line has %d runes: %q", n, line)
		}
	}
}

// type presses keys, and carries out what they lead to.
func press(m *model, keys ...string) {
	for _, k := range keys {
		key := tea.KeyPressMsg{Text: k, Code: []rune(k)[0]}
		if k == "enter" {
			key = tea.KeyPressMsg{Code: tea.KeyEnter}
		}
		if _, cmd := m.Update(key); cmd != nil {
			m.Update(cmd())
		}
	}
}

func TestKeys(t *testing.T) {
	var got []string
	do := Actions{
		Approve: func(_ context.Context, q Question, a decide.Approval) (string, error) {
			got = append(got, "approve "+q.Proposal.ID+" "+a.Scope+" "+a.For.String())
			return "fine", nil
		},
		Reject: func(_ context.Context, q Question, reason string) (string, error) {
			got = append(got, "reject "+reason)
			return "", errors.New("the engine is away")
		},
		Edit: func(context.Context, wire.Proposal, io.Reader, io.Writer) (*wire.Proposal, error) { return nil, nil },
	}
	m := newModel(do)
	press(m, "a", "n", "enter", "a", "y", "enter", "t", "6", "0", "s", "enter", "t", "x", "enter", "g", "y", "enter", "r", "N", "o", "enter")
	want := "approve abcdefghijklmnop once 0s|approve abcdefghijklmnop for 1m0s|approve abcdefghijklmnop for-good 0s|reject No"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if m.note != "Not done: the engine is away" {
		t.Errorf("the note says %q", m.note)
	}
}
