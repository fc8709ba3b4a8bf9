package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/test/upstream"
)

// lineTime bounds how long an audit line may take to appear: that of an allowed
// request is written when the exchange has ended, which its client need not wait for.
const lineTime = 10 * time.Second

// awaitLine waits for an audit line that fits, and fails the test without one.
func (b *bottle) awaitLine(t *testing.T, component, what string, fits func(audit.Line) bool) audit.Line {
	t.Helper()
	for deadline := time.Now().Add(lineTime); ; time.Sleep(20 * time.Millisecond) {
		lines := b.auditOf(t, component)
		for _, l := range lines {
			if fits(l) {
				return l
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the audit log of %s has no line of %s; the last of its %d lines: %+v", component, what, len(lines), lines[max(0, len(lines)-3):])
		}
	}
}

// awaitDecision waits for the line that denies the request with an id, in the
// log of the component that denied it.
func (b *bottle) awaitDecision(t *testing.T, requestID string, reason policy.Reason) {
	t.Helper()
	for deadline := time.Now().Add(lineTime); ; time.Sleep(20 * time.Millisecond) {
		var ofRequest []audit.Line
		for _, l := range append(b.auditOf(t, "egressd"), b.auditOf(t, "pipelockd")...) {
			if l.RequestID != requestID {
				continue
			}
			if l.Decision == policy.Deny && l.Reason == reason {
				return
			}
			ofRequest = append(ofRequest, l)
		}
		if time.Now().After(deadline) {
			t.Fatalf("no audit line denies the request %s for %s; its lines: %+v", requestID, reason, ofRequest)
		}
	}
}

// seenSince returns what the upstream saw since a mark, when it has seen it to
// the end.
func seenSince(t *testing.T, s *upstream.Server, m upstream.Mark) []upstream.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen, err := s.Settle(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// sawNothing fails the test when the upstream saw any request since a mark.
func sawNothing(t *testing.T, s *upstream.Server, m upstream.Mark) {
	t.Helper()
	for _, r := range seenSince(t, s, m) {
		t.Errorf("the upstream saw %s %s%s", r.Method, r.Host, r.URI)
	}
}

// sawOne returns the one request that the upstream saw since a mark.
func sawOne(t *testing.T, s *upstream.Server, m upstream.Mark) upstream.Request {
	t.Helper()
	seen := seenSince(t, s, m)
	if len(seen) != 1 {
		t.Fatalf("the upstream saw %d requests, not one: %+v", len(seen), seen)
	}
	return seen[0]
}
