package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// config is the smallest daemon's configuration file.
type config struct {
	Version int        `yaml:"version"`
	Bottle  string     `yaml:"bottle"`
	Listen  listen     `yaml:"listen"`
	Audit   wire.Audit `yaml:"audit"`
	Word    string     `yaml:"word"`
}

type listen struct {
	Admin string `yaml:"admin"`
}

// service remembers the word in force and says when it changes.
type service struct {
	word    atomic.Value
	changed chan string
}

func (s *service) Serve(ctx context.Context) error { <-ctx.Done(); return nil }

func (s *service) Reload(c *config) error {
	defer func() { s.changed <- s.word.Load().(string) }()
	if c.Word == "unloadable" {
		return errors.New("this word cannot be loaded")
	}
	s.word.Store(c.Word)
	return nil
}

func (s *service) Counters() map[string]uint64 { return map[string]uint64{"words": 1} }

func spec(s *service) Spec[config] {
	return Spec[config]{
		Name: "wordd", Summary: "keeps a word",
		Basics: func(c *config) Basics { return Basics{c.Version, c.Bottle, c.Listen.Admin, c.Audit} },
		Validate: func(doc *wire.Doc, c *config) error {
			if c.Word == "" {
				return doc.Errorf("word", "word is missing")
			}
			return nil
		},
		Check: func(c *config, method, url string) (policy.Decision, error) {
			if method == c.Word {
				return policy.Allowed("word"), nil
			}
			return policy.Denied(policy.ReasonMethodNotAllowed, "word", "Not that word."), nil
		},
		Commands: ownCommands(),
		New: func(c *config, _ Env) (Service[config], error) {
			s.word.Store(c.Word)
			return s, nil
		},
	}
}

type fixture struct {
	t       *testing.T
	file    string
	admin   string
	service *service
}

func newFixture(t *testing.T) *fixture {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &fixture{t, filepath.Join(t.TempDir(), "wordd.yaml"), l.Addr().String(), &service{changed: make(chan string, 16)}}
}

func (f *fixture) write(word string) {
	f.t.Helper()
	text := fmt.Sprintf("version: 1\nbottle: b\nlisten: {admin: %q}\naudit: {file: %s.jsonl}\nword: %s\n", f.admin, f.file, word)
	if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) run(args ...string) (out string, code int) {
	f.t.Helper()
	var buf bytes.Buffer
	err := Run(context.Background(), spec(f.service), append([]string{"--config", f.file}, args...), nil, Stdio{nil, &buf, &buf})
	var exit *ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		code = exit.Code
	default:
		code = 1
	}
	if err != nil && !errors.Is(err, errDenied) {
		fmt.Fprintln(&buf, err)
	}
	return buf.String(), code
}

func TestCommands(t *testing.T) {
	f := newFixture(t)
	f.write("GET")
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("version: 1\nwrod: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"check get https://a.example/", 0, "allow  word"},
		{"check POST https://a.example/", 3, "deny  method_not_allowed: Not that word.; nearest rule: word"},
		{"check POST", 2, "wrong number of arguments"},
		{"validate", 0, ""},
		{"validate " + bad, 2, `bad.yaml:2:1: unknown key "wrod" (did you mean "word"?)`},
		{"validate --config " + bad, 2, "unknown key"},
		{"validate /nowhere.yaml", 2, "cannot read the configuration"},
		{"version", 0, "wordd dev go"},
		{"dance", 2, `unknown command "dance"`},
		{"version --loud", 2, "flag provided but not defined"},
		{"status", 1, "is not running here"},
		{"healthcheck", 1, "is not running here"},
		{"--help", 0, "check METHOD URL"},
	} {
		out, code := f.run(strings.Fields(tc.args)...)
		if code != tc.code || !strings.Contains(out, tc.want) {
			t.Errorf("%s: exit %d, %q; want %d, %q", tc.args, code, out, tc.code, tc.want)
		}
	}
}

func TestVersionAndAdminAreJudged(t *testing.T) {
	f := newFixture(t)
	for text, want := range map[string]string{
		"version: 2\n": "wordd.yaml:1:10: version 2 is not known",
		"version: 1\nlisten: {admin: \"0.0.0.0:1\"}\naudit: {file: a}\nword: x\n":   "wordd.yaml:2:17: listen.admin must be a loopback address",
		"version: 1\nlisten: {admin: \"127.0.0.1:1\"}\nword: x\n":                   "audit.file is missing",
		"version: 1\nlisten: {admin: \"localhost:1\"}\naudit: {file: a}\nword: x\n": "must be a loopback address",
	} {
		if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := f.run("serve"); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%q: exit %d, %s", text, code, out)
		}
	}
}

// serve runs the daemon until it is ready; stop ends it.
func (f *fixture) serve() (stop func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, spec(f.service), []string{"--config", f.file}, nil, Stdio{nil, &bytes.Buffer{}, &bytes.Buffer{}})
	}()
	for _, code := f.run("healthcheck"); code != 0; _, code = f.run("healthcheck") {
		select {
		case err := <-done:
			f.t.Fatal("it ended:", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return func() {
		f.t.Helper()
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	}
}

// TestReloadKeepsTheLastGood runs the daemon and sends this process the signal
// that operators send.
func TestReloadKeepsTheLastGood(t *testing.T) {
	f := newFixture(t)
	f.write("one")
	stop := f.serve()
	first := f.status()
	hup := func() { // the file has changed, too, so a poll may come first: both lead to the same
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	f.write("two")
	hup()
	if got := <-f.service.changed; got != "two" {
		t.Fatalf("after a good reload: %s", got)
	}
	f.write("unloadable")
	hup()
	if got := <-f.service.changed; got != "two" {
		t.Errorf("after a reload that failed: %s", got)
	}
	f.write("[]")
	hup()
	st := f.status()
	for strings.Contains(st.LastError, "cannot be loaded") || st.LastError == "" { // the last refusal is on its way
		st = f.status()
	}
	if f.service.word.Load() != "two" || st.ConfigSHA256 == first.ConfigSHA256 || !strings.Contains(st.LastError, "wordd.yaml:5:7: word must be a single value") || st.Counters["words"] != 1 {
		t.Errorf("status: %+v", st)
	}
	stop()
	trail, err := os.ReadFile(f.file + ".jsonl")
	if err != nil || bytes.Count(trail, []byte(`"event":"reload"`)) < 3 || !bytes.Contains(trail, []byte(`"event":"stop"`)) {
		t.Errorf("audit: %s, %v", trail, err)
	}
}

// TestFileChangeReloads swaps the symlink behind the file, as Kubernetes does
// with a mounted ConfigMap, without any signal.
func TestFileChangeReloads(t *testing.T) {
	f := newFixture(t)
	dir := filepath.Dir(f.file)
	version := func(name, word string) {
		t.Helper()
		real := f.file
		f.file = filepath.Join(dir, name)
		f.write(word)
		f.file = real
		tmp := filepath.Join(dir, "tmp-link")
		if err := errors.Join(os.Symlink(name, tmp), os.Rename(tmp, f.file)); err != nil {
			t.Fatal(err)
		}
	}
	version("v1.yaml", "one")
	stop := f.serve()
	version("v2.yaml", "two")
	if got := <-f.service.changed; got != "two" {
		t.Errorf("after the swap: %s", got)
	}
	stop()
}

func (f *fixture) status() (st wire.Status) {
	f.t.Helper()
	out, code := f.run("status")
	if err := json.Unmarshal([]byte(out), &st); err != nil || code != 0 {
		f.t.Fatalf("status: %d %s", code, out)
	}
	return st
}
