package daemon

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// HandleAdmin makes service an [AdminHandler].
func (s *service) HandleAdmin(mux *http.ServeMux) {
	mux.HandleFunc("POST /forget", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "forgot", s.word.Swap(""))
	})
}

// ownCommands are what only the smallest daemon has.
func ownCommands() map[string]Command[config] {
	return map[string]Command[config]{
		"spell": {Usage: "spell [UP]", Summary: "print the word", Max: 1, Run: func(_ context.Context, c Call[config]) error {
			cfg, err := c.Load()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.Stdio.Out, cfg.Word, c.Args)
			return err
		}},
		"forget": {Usage: "forget", Summary: "forget the word", Run: func(ctx context.Context, c Call[config]) error {
			return c.Post(ctx, "/forget", c.Stdio.Out)
		}},
	}
}

func TestOwnCommands(t *testing.T) {
	f := newFixture(t)
	f.write("hello")
	for _, tc := range []struct {
		args []string
		out  string
		code int
	}{
		{[]string{"spell", "up"}, "hello [up]", 0},
		{[]string{"spell", "up", "down"}, "wrong number of arguments", 2},
		{[]string{"forget"}, "not running here", 1},
		{[]string{"--help"}, "  spell [UP]            print the word\n", 0},
	} {
		if out, code := f.run(tc.args...); code != tc.code || !strings.Contains(out, tc.out) {
			t.Errorf("wordd %v: exit %d, %q; want exit %d, %q", tc.args, code, out, tc.code, tc.out)
		}
	}
}

func TestOwnCommandReachesTheDaemon(t *testing.T) {
	f := newFixture(t)
	f.write("hello")
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, spec(f.service), []string{"--config", f.file}, nil, Stdio{nil, io.Discard, io.Discard})
	}()
	defer func() { stop(); <-done }()
	for {
		if _, code := f.run("healthcheck"); code == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if out, code := f.run("forget"); code != 0 || out != "forgot hello\n" {
		t.Errorf("forget: exit %d, %q", code, out)
	}
}
