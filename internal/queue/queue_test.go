package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newDesk is a desk over an empty box, with a clock that stands.
func newDesk(t testing.TB) (*Desk, *time.Time) {
	t.Helper()
	now := epoch
	d := &Desk{Box: Box{t.TempDir(), t.TempDir()}, Now: func() time.Time { return now }}
	return d, &now
}

func nothing(wire.Proposal) error { return nil }

func egress(host string) wire.Proposal {
	return wire.Proposal{Tool: wire.ToolEgress, Justification: "To fetch it.", Route: &wire.Route{
		Host: host, Matches: []wire.Match{{Path: &wire.PathMatch{Exact: "/x"}, Methods: []string{"GET"}, Headers: map[string]string{"x-a": "1"}}},
	}}
}

func TestSubmitAndDecide(t *testing.T) {
	d, now := newDesk(t)
	p, again, err := d.Submit(egress("a.example"), nothing)
	if err != nil || again || !ValidID(p.ID) {
		t.Fatalf("%+v %v %v", p, again, err)
	}
	*now = now.Add(time.Minute)
	other := egress("a.example")
	other.Justification = "Please."
	if q, again, err := d.Submit(other, nothing); err != nil || !again || q.ID != p.ID {
		t.Errorf("the same again: %s %v %v", q.ID, again, err)
	}
	got, err := d.Proposal(p.ID)
	if err != nil || ID(got) != p.ID || got.Route.Matches[0].Path.Exact != "/x" {
		t.Errorf("read back: %+v %v", got, err)
	}
	dec := wire.Decision{Version: 1, Proposal: p.ID, Verdict: wire.Approved, Scope: wire.ScopeFor, Expires: wire.At(*now), DecidedAt: wire.At(*now)}
	if err := d.Decide(dec); err != nil {
		t.Fatal(err)
	}
	if err := d.Decide(dec); !errors.Is(err, ErrDecided) {
		t.Errorf("a second decision: %v", err)
	}
	if back, err := d.Decision(p.ID); err != nil || back.Verdict != wire.Approved || !back.Expires.Equal(*now) {
		t.Errorf("the decision: %+v %v", back, err)
	}
	if q, again, err := d.Submit(other, nothing); err != nil || again || q.ID == p.ID {
		t.Errorf("asked again after the decision: %s %v %v", q.ID, again, err)
	}
}

func TestBounds(t *testing.T) {
	d, now := newDesk(t)
	var refusal *Refusal
	for i := range PerMinute {
		if _, _, err := d.Submit(egress(fmt.Sprintf("h%d.example", i)), nothing); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := d.Submit(egress("more.example"), nothing); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "within a minute") {
		t.Errorf("the eleventh in a minute: %v", err)
	}
	*now = now.Add(time.Minute)
	for i := range MaxPending - PerMinute {
		if _, _, err := d.Submit(egress(fmt.Sprintf("i%d.example", i)), nothing); err != nil {
			t.Fatal(err)
		}
	}
	*now = now.Add(time.Minute)
	if _, _, err := d.Submit(egress("more.example"), nothing); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "20 proposals") {
		t.Errorf("the 21st: %v", err)
	}
	*now = now.Add(Lifetime)
	if _, _, err := d.Submit(egress("more.example"), nothing); err != nil {
		t.Errorf("after a week: %v", err)
	}
	if left, _ := os.ReadDir(d.Proposals); len(left) != 1 {
		t.Errorf("%d proposals are left after a week", len(left))
	}
	kept := errors.New("no audit")
	if _, _, err := d.Submit(egress("unrecorded.example"), func(wire.Proposal) error { return kept }); err != kept {
		t.Errorf("without a record: %v", err)
	}
	if left, _ := os.ReadDir(d.Proposals); len(left) != 1 {
		t.Error("an unrecorded proposal was taken")
	}
}

// What stands in the proposals' directory was written by somebody else.
func TestHostileFiles(t *testing.T) {
	d, _ := newDesk(t)
	p, _, err := d.Submit(egress("a.example"), nothing)
	if err != nil {
		t.Fatal(err)
	}
	path := func(id string) string { return filepath.Join(d.Proposals, id+suffix) }
	data, err := os.ReadFile(path(p.ID))
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(string(data), "a.example", "b.example", 1)
	secret := filepath.Join(t.TempDir(), "secret")
	for i, plant := range []func(string) error{
		func(f string) error { return os.WriteFile(f, data, 0o600) },                               // another name
		func(f string) error { return os.Symlink(path(p.ID), f) },                                  // a link
		func(f string) error { return syscall.Mkfifo(f, 0o600) },                                   // would block
		func(f string) error { return os.Mkdir(f, 0o700) },                                         //
		func(f string) error { return os.WriteFile(f, make([]byte, maxFile+1), 0o600) },            // too long
		func(f string) error { return os.WriteFile(f, []byte("version: 1\nverdict: x\n"), 0o600) }, // not the schema
		func(f string) error { return os.Symlink(secret, f) },
	} {
		if err := plant(path(strings.Repeat(string(rune('a'+i)), idLength))); err != nil {
			t.Fatal(err)
		}
	}
	items, odd, err := d.Items()
	if err != nil || len(items) != 1 || odd != 7 {
		t.Errorf("%d items, %d odd, %v", len(items), odd, err)
	}
	if err := os.WriteFile(path(p.ID), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Proposal(p.ID); err == nil || !strings.Contains(err.Error(), "it was changed") {
		t.Errorf("an exchanged proposal: %v", err)
	}
	for _, id := range []string{"../../etc/passwd", "", "a/b", strings.Repeat("A", idLength)} {
		if _, err := d.Proposal(id); err == nil {
			t.Errorf("%q was read", id)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		p    func() wire.Proposal
		want string
	}{
		"no reason":  {func() wire.Proposal { p := egress("a.example"); p.Justification = " "; return p }, "justification is empty"},
		"top level":  {func() wire.Proposal { return egress("*.com") }, "top-level domain"},
		"star":       {func() wire.Proposal { return egress("*") }, "host"},
		"address":    {func() wire.Proposal { return egress("169.254.169.254") }, "address literal"},
		"look-alike": {func() wire.Proposal { return egress("аpi.example") }, "no DNS name has"},
		"own expiry": {func() wire.Proposal { p := egress("a.example"); p.Route.Expires = wire.At(epoch); return p }, "operator's to set"},
		"no scrubbing": {func() wire.Proposal {
			p := egress("a.example")
			no := false
			p.Route.Auth = &wire.Auth{Scheme: "Bearer", TokenRef: "T", Scrub: &no}
			return p
		}, "operator's to set"},
		"control in path": {func() wire.Proposal {
			p := egress("a.example")
			p.Route.Matches[0].Headers["x-a"] = "\x1b[2J"
			return p
		}, "control or invisible"},
		"two questions": {func() wire.Proposal { p := egress("a.example"); p.Dockerfile = "RUN true"; return p }, "does not ask for"},
		"url of another": {func() wire.Proposal {
			return wire.Proposal{Tool: wire.ToolPipelock, Justification: "x", Host: "a.example", FailedURL: "https://b.example/"}
		}, "leads to b.example"},
		"no finding":       {func() wire.Proposal { return finding(nil) }, "copy the arguments"},
		"short object":     {func() wire.Proposal { return finding(func(f *wire.GitFinding) { f.Object = "abc" }) }, "40 hexadecimal"},
		"every object":     {func() wire.Proposal { return finding(func(f *wire.GitFinding) { f.Object = "*" }) }, "40 hexadecimal"},
		"every rule":       {func() wire.Proposal { return finding(func(f *wire.GitFinding) { f.Rule = "*" }) }, "id of a rule"},
		"remote elsewhere": {func() wire.Proposal { return finding(func(f *wire.GitFinding) { f.Remote = "../x" }) }, "name of a remote"},
		"escape in a path": {func() wire.Proposal { return finding(func(f *wire.GitFinding) { f.Path = "a\x1b[2J" }) }, "path is longer"},
		"finding and route": {func() wire.Proposal {
			p := finding(func(*wire.GitFinding) {})
			p.Route = egress("a.example").Route
			return p
		}, "does not ask for"},
		"FROM":                    {func() wire.Proposal { return docker("FROM evil") }, `begins with "FROM"`},
		"COPY":                    {func() wire.Proposal { return docker("RUN a\nCOPY . /") }, "line 2"},
		"syntax":                  {func() wire.Proposal { return docker("# syntax=evil/frontend\nRUN a") }, "parser directive"},
		"escape":                  {func() wire.Proposal { return docker("#escape=`\nRUN a") }, "parser directive"},
		"mount":                   {func() wire.Proposal { return docker("RUN --mount=type=secret a") }, "flag"},
		"heredoc":                 {func() wire.Proposal { return docker("RUN <<E\nE") }, "here-document"},
		"hidden":                  {func() wire.Proposal { return docker("RUN a\u202e") }, "invisible"},
		"carriage return":         {func() wire.Proposal { return docker("RUN evil\rRUN good") }, "invisible"},
		"user after continuation": {func() wire.Proposal { return docker("RUN a \\\n b\nUSER root") }, `begins with "USER"`},
		"onbuild":                 {func() wire.Proposal { return docker("ONBUILD RUN a") }, `"ONBUILD"`},
	} {
		p := tc.p()
		p.Version = wire.Version
		if err := Check(p); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := docker("# tools\nRUN apt-get update \\\n  && apt-get install -y jq\nENV A=b")
	p.Version = wire.Version
	if err := Check(p); err != nil {
		t.Error(err)
	}
}

// finding is a question about a finding, turned into a bad one by spoil.
func finding(spoil func(*wire.GitFinding)) wire.Proposal {
	p := wire.Proposal{Tool: wire.ToolGitleaks, Justification: "x"}
	if spoil != nil {
		p.Finding = &wire.GitFinding{Remote: "app", Object: strings.Repeat("a", 40), Rule: "generic-api-key", Path: "a.txt"}
		spoil(p.Finding)
	}
	return p
}

func docker(text string) wire.Proposal {
	return wire.Proposal{Tool: wire.ToolCapability, Justification: "x", Dockerfile: text}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü 漢 🙂":          "plain ü 漢 🙂",
		"a\x1b[2Jb":            "a�[2Jb",
		"a\u009b31m":           "a�31m",
		"abc\u202edef\u2066":   "abc�def�",
		"z\u200bw\u200d\ufeff": "z�w��",
		"l\r\nm\tn\x00\x7f":    "l�\nm\tn��",
		"\xff\xfe":             "�",
		"\u00a0\u3000\u2028":   "���",
		"tag\U000e0041":        "tag�",
		"filler\u3164\u115f":   "filler��",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[2J\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if Clean(got) != got {
			t.Errorf("%q is not clean after cleaning", got)
		}
		for _, r := range got {
			if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
				t.Errorf("%q holds %U", got, r)
			}
		}
	})
}

// Whatever the file of a proposal holds, reading it is an error or yields a
// proposal that names itself and passes the check.
func FuzzProposal(f *testing.F) {
	d, _ := newDesk(f)
	for _, p := range []wire.Proposal{egress("a.example"), docker("RUN a"), {Tool: wire.ToolPipelock, Host: "a.example", Justification: "x"}} {
		p, _, err := d.Submit(p, nothing)
		if err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(d.Proposals, p.ID+suffix))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.ID, data)
	}
	f.Fuzz(func(t *testing.T, id string, data []byte) {
		if !ValidID(id) {
			return
		}
		b := Box{t.TempDir(), ""}
		if err := os.WriteFile(filepath.Join(b.Proposals, id+suffix), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := b.Proposal(id); err == nil && (ID(p) != id || Check(p) != nil) {
			t.Errorf("%q was believed", data)
		}
	})
}
