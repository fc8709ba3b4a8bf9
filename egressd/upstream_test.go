package main

import (
	"testing"

	"github.com/bottlesuite/bottle/internal/mitm"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// TestAddressesAreJudgedWithoutPipelockd leads an allowed name to loopback.
func TestAddressesAreJudgedWithoutPipelockd(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	upstream := c.config.Upstream
	upstream.Hosts = map[string]string{"api.example": "127.0.0.1"}
	for _, tc := range []struct {
		private []string
		reason  policy.Reason
		arrives int
	}{
		{nil, policy.ReasonAddressForbidden, 0},
		{[]string{"10.0.0.0/8"}, policy.ReasonAddressForbidden, 0},
		{[]string{"api.example"}, "", 1},
	} {
		upstream.AllowPrivate = tc.private
		tr, err := newTransport(upstream)
		if err != nil {
			t.Fatal(err)
		}
		c.service.proxy.Transport = checked{mitm.NewMirror(tr)}
		resp, err := c.client(t, true).Get(c.url("api.example", "/v1/x"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get(wire.DenyHeader); got != string(tc.reason) {
			t.Errorf("with %v: %s %s", tc.private, resp.Status, got)
		}
		if seen := c.upstream.Seen(); len(seen) != tc.arrives {
			t.Errorf("with %v the upstream saw %v", tc.private, seen)
		}
	}
}
