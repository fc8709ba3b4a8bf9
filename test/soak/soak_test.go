package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/test/trial"
)

// TestSoak is a few seconds of what `make soak` does for minutes.
func TestSoak(t *testing.T) {
	bin, err := trial.Binaries("../../bin")
	if err != nil {
		t.Skip(err)
	}
	for _, chain := range []bool{false, true} {
		o := options{bin: bin, duration: 3 * time.Second, rate: 100, reload: 150 * time.Millisecond, chain: chain, growth: 1}
		r, err := soak(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(r)
		if err := errors.Join(r.faults...); err != nil {
			t.Error(err)
		}
		if r.requests < 200 || r.reloads < 3 || r.allowed == 0 || r.allowed == r.requests {
			t.Errorf("too little was tried: %s", r)
		}
	}
}

// A judge that sees no fault would make every soak pass.
func TestFaultsAreSeen(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	tables := &timeline{spans: []span{{at(0), at(11)}, {from: at(10)}}}
	denied := exchange{status: http.StatusForbidden, reason: string(policy.ReasonPathNotAllowed)}
	for _, tc := range []struct {
		name           string
		x              exchange
		path           string
		from, to       int
		seen           int64
		wrong, dropped int
	}{
		{"allowed by the first table", exchange{status: 200}, "/v1/flip/0", 1, 2, 1, 0, 0},
		{"allowed by the table before", exchange{status: 200}, "/v1/flip/0", 9, 12, 1, 0, 0},
		{"allowed by a table that is gone", exchange{status: 200}, "/v1/flip/0", 12, 13, 1, 1, 0},
		{"denied too early", denied, "/v1/flip/0", 1, 2, 0, 1, 0},
		{"allowed by no table", exchange{status: 200}, "/v1/never", 1, 2, 1, 1, 0},
		{"denied by no table", denied, "/v1/always", 9, 12, 0, 1, 0},
		{"denied, and seen by the upstream", denied, "/v1/never", 1, 2, 1, 1, 0},
		{"allowed, and not seen", exchange{status: 200}, "/v1/always", 1, 2, 0, 1, 0},
		{"sent twice", exchange{status: 200}, "/v1/always", 1, 2, 2, 1, 0},
		{"denied for another reason", exchange{status: 403, reason: "audit-unavailable"}, "/v1/never", 1, 2, 0, 0, 1},
		{"failed", exchange{status: 502}, "/v1/always", 1, 2, 0, 0, 1},
		{"broken off", exchange{err: errors.New("EOF")}, "/v1/always", 1, 2, 0, 0, 1},
	} {
		tc.x.path, tc.x.start, tc.x.end = tc.path, at(tc.from), at(tc.to)
		l, r := ledger{all: []exchange{tc.x}}, &result{}
		l.judge(r, tables, func(string) int64 { return tc.seen })
		if r.wrong != tc.wrong || r.dropped != tc.dropped || len(r.faults) != tc.wrong+tc.dropped {
			t.Errorf("%s: wrong %d, dropped %d, faults %v", tc.name, r.wrong, r.dropped, r.faults)
		}
	}
}

func TestGrowthIsSeen(t *testing.T) {
	r := &result{options: options{duration: settled, growth: 0.5}, memory: map[string][]sample{}}
	for i := range 100 {
		at := time.Duration(i) * time.Second
		r.memory["flat"] = append(r.memory["flat"], sample{at, 20 + float64(i%3)})
		r.memory["leaky"] = append(r.memory["leaky"], sample{at, 20 + float64(i)/60})
	}
	r.judgeMemory()
	if len(r.faults) != 1 || !strings.Contains(r.faults[0].Error(), "leaky grew by 1.00 MiB") {
		t.Errorf("faults %v", r.faults)
	}
}
