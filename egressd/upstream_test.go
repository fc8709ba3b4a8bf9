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

func TestValidateProxy(t *testing.T) {
	for proxy, good := range map[string]bool{
		"http://pipelock:8888":                  true,
		"http://10.0.0.2:8888/":                 true,
		"unix:///run/bottle/hop/pipelockd.sock": true,
		"unix://run/hop.sock":                   false,
		"unix:/run/hop.sock":                    false,
		"unix:///run/../hop.sock":               false,
		"https://pipelock:8888":                 false,
		"http://user@pipelock:8888":             false,
		"http://pipelock:8888/path":             false,
		"pipelock:8888":                         false,
		"/run/bottle/hop/pipelockd.sock":        false,
	} {
		if err := validateProxy(proxy); (err == nil) != good {
			t.Errorf("%s: %v", proxy, err)
		}
	}
}
