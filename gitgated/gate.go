package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/netutil"

	"github.com/bottlesuite/bottle/internal/policy"
)

// How much goes on at once. Each reading and each push is a handful of git
// processes, bounded in memory; the rest waits its turn.
const (
	maxReads       = 4
	maxPushes      = 2
	maxWaiting     = 64
	waitTime       = 2 * time.Minute
	maxConnections = 128
)

// gate lets a number of requests in at a time, and keeps a bounded number
// waiting.
type gate struct {
	slots   chan struct{}
	waiting chan struct{}
}

func newGate(n int) gate {
	return gate{make(chan struct{}, n), make(chan struct{}, maxWaiting)}
}

// enter waits for a slot. It returns what gives the slot back, or the denial.
func (g gate) enter(ctx context.Context) (leave func(), denied *policy.Decision) {
	busy := policy.Denied(policy.ReasonOverloaded, "", "The git gate is busy with other requests; try again later.")
	select {
	case g.waiting <- struct{}{}:
		defer func() { <-g.waiting }()
	default:
		return nil, &busy
	}
	late := time.NewTimer(waitTime)
	defer late.Stop()
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, nil
	case <-late.C:
		return nil, &busy
	case <-ctx.Done():
		return nil, &busy
	}
}

// listen opens a port that takes a bounded number of connections.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the agent: %w", err)
	}
	return netutil.LimitListener(l, maxConnections), nil
}
