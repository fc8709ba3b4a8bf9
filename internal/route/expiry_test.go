package route

import (
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

func TestExpiredRouteTakesNothing(t *testing.T) {
	end := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	table, err := Compile([]wire.Route{
		{Host: "api.example", Matches: []wire.Match{{Methods: []string{"POST"}}}, Expires: wire.At(end)},
		{Host: "api.example", Matches: []wire.Match{{Methods: []string{"GET"}}}},
		{Host: "only.example", Expires: wire.At(end)},
	})
	if err != nil {
		t.Fatal(err)
	}
	at := func(now time.Time) { table.now = func() time.Time { return now } }
	match := func(method, host string) policy.Reason { return table.Match(method, host, "443", "/x", nil).Reason }

	at(end.Add(-time.Nanosecond))
	if r := match("POST", "api.example"); r != "" {
		t.Errorf("before its end: %s", r)
	}
	if !table.Host("only.example", "443") {
		t.Error("no tunnel before the end")
	}
	at(end)
	if r := match("POST", "api.example"); r != policy.ReasonMethodNotAllowed {
		t.Errorf("POST after the end: %q", r)
	}
	if r := match("GET", "api.example"); r != "" {
		t.Errorf("what does not expire: %s", r)
	}
	if r := match("GET", "only.example"); r != policy.ReasonHostNotAllowed {
		t.Errorf("a host of expired routes alone: %q", r)
	}
	if table.Host("only.example", "443") {
		t.Error("a tunnel after the end")
	}
}
