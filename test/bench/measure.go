package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/test/proxies"
)

type options struct {
	bin    string
	rounds int
	slice  time.Duration
	peers  bool
	// processors is for the proxies, see [proxies.Config].
	processors int
	only       string
}

// host is a name that every way finds without DNS.
const host = "localhost"

// way is how the client reaches the upstream.
type way struct {
	name    string
	proxy   string
	roots   string
	daemons []*proxies.Daemon
}

// cases are what is measured; a peer takes part in the first ones only.
var cases = []struct {
	job
	peer bool
}{
	{job{Case: "1 KiB, HTTP/1.1, 1 connection", Kind: "small", Connections: 1}, true},
	{job{Case: "1 KiB, HTTP/1.1, 32 connections", Kind: "small", Connections: 32}, true},
	{job{Case: "new connection to the first byte", Kind: "new", Connections: 1}, true},
	{job{Case: "1 KiB, HTTP/2, 1 connection", Kind: "small", Connections: 1, HTTP2: true}, false},
	{job{Case: "1 KiB, HTTP/2, 32 connections", Kind: "small", Connections: 32, HTTP2: true}, false},
	{job{Case: "server-sent event", Kind: "events", Connections: 1}, false},
	{job{Case: "1 MiB down", Kind: "down", Connections: 1}, false},
	{job{Case: "1 MiB up", Kind: "up", Connections: 1}, false},
}

// measure starts everything, goes through the cases, and stops everything.
func measure(ctx context.Context, o options) (_ *report, err error) {
	dir, err := os.MkdirTemp("", "bottle-bench-")
	if err != nil {
		return nil, err
	}
	undo := []func() error{func() error { return os.RemoveAll(dir) }}
	defer func() {
		for _, f := range slices.Backward(undo) {
			err = errors.Join(err, f())
		}
	}()
	s, err := newStage(o, dir, &undo)
	if err != nil {
		return nil, err
	}
	r := newReport(o)
	if err := r.memory(s.ways, false); err != nil {
		return nil, err
	}
	for _, c := range cases {
		if !strings.Contains(c.Case, o.only) || o.peers && !c.peer {
			continue
		}
		if err := s.measureCase(ctx, o, c.job, r); err != nil {
			return nil, err
		}
	}
	return r, r.memory(s.ways, true)
}

// stage is what a benchmark runs on.
type stage struct {
	client *player
	url    string
	ways   []way
}

func newStage(o options, dir string, undo *[]func() error) (*stage, error) {
	ca, err := testkit.MakeCA("upstream")
	if err != nil {
		return nil, err
	}
	roots, _, err := ca.Save(dir, "upstream")
	if err != nil {
		return nil, err
	}
	port, err := startUpstream(ca, dir, undo)
	if err != nil {
		return nil, err
	}
	s := &stage{url: fmt.Sprintf("https://%s:%d/v1/", host, port), ways: []way{{name: "direct", roots: roots}}}
	if s.client, err = play("client"); err != nil {
		return nil, err
	}
	*undo = append(*undo, s.client.end)
	authority := fmt.Sprintf("%s:%d", host, port)
	for _, alone := range []bool{true, false} {
		name := "egressd + pipelockd"
		if alone {
			name = "egressd"
		}
		own, err := os.MkdirTemp(dir, "")
		if err != nil {
			return nil, err
		}
		p, err := proxies.Start(proxies.Config{
			Bin: o.bin, Dir: own, Alone: alone, Processors: o.processors, UpstreamCA: roots, Hosts: []string{authority},
			Routes: []wire.Route{{
				Host:    authority,
				Matches: []wire.Match{{Path: &wire.PathMatch{Prefix: "/v1/"}, Methods: []string{"GET", "POST"}}},
				Auth:    &wire.Auth{Scheme: wire.SchemeBearer, TokenRef: "TOKEN"},
			}},
		})
		if err != nil {
			return nil, err
		}
		*undo = append(*undo, p.Stop)
		s.ways = append(s.ways, way{name, p.URL, p.CA, p.Daemons()})
	}
	if o.peers {
		w, err := startMitmproxy(dir, roots, undo)
		if err != nil {
			return nil, err
		}
		s.ways = append(s.ways, w)
	}
	return s, nil
}

func startUpstream(ca *testkit.CA, dir string, undo *[]func() error) (port int, err error) {
	job, err := saveLeaf(ca, dir)
	if err != nil {
		return 0, err
	}
	u, err := play("upstream")
	if err != nil {
		return 0, err
	}
	*undo = append(*undo, u.end)
	return port, u.ask(job, &port)
}

// measureCase takes slices of a case, the ways taking turns. The turn's first
// changes from round to round.
func (s *stage) measureCase(ctx context.Context, o options, j job, r *report) error {
	j.URL, j.Slice = s.url, o.slice
	for round := range o.rounds {
		for i := range s.ways {
			if err := ctx.Err(); err != nil {
				return err
			}
			w := s.ways[(round+i)%len(s.ways)]
			j.Way, j.Proxy, j.Roots = w.name, w.proxy, w.roots
			before, err := w.cpu()
			if err != nil {
				return err
			}
			var got slice
			if err := s.client.ask(j, &got); err != nil {
				return err
			}
			if got.Error != "" {
				return fmt.Errorf("%s, %s: %s", j.Case, w.name, got.Error)
			}
			after, err := w.cpu()
			if err != nil {
				return err
			}
			r.add(j, w, got, after-before)
		}
	}
	fmt.Fprintln(os.Stderr, "measured:", j.Case)
	return nil
}

// cpu is what all proxies of a way have spent.
func (w way) cpu() (sum time.Duration, err error) {
	for _, d := range w.daemons {
		t, err := d.CPU()
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}
