package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// TestOwnCredentialIsRefused sends what an agent could bring itself to a host
// whose credential the bottle provides.
func TestOwnCredentialIsRefused(t *testing.T) {
	c := startChain(t, nil, func(port string) []wire.Route {
		return append(defaultRoutes(port), wire.Route{Host: "api.example:" + port, Matches: []wire.Match{{Path: &wire.PathMatch{Prefix: "/public/"}}}})
	})
	for _, h2 := range []bool{false, true} {
		client := c.client(t, h2)
		for _, tc := range []struct {
			path, field, value string
			want               policy.Reason
		}{
			{"/v1/x", "Authorization", "Bearer foreign", policy.ReasonAgentCredential},
			{"/v1/x", "Authorization", "Basic Zm9yZWlnbjpmb3JlaWdu", policy.ReasonAgentCredential},
			{"/v1/x", "X-Api-Key", "foreign", policy.ReasonAgentCredential},
			{"/v1/x?access_token=foreign", "", "", policy.ReasonAgentCredential},
			{"/public/x", "Authorization", "Bearer foreign", policy.ReasonAgentCredential},
			{"/public/x", "Authorization", "Bearer bottle-placeholder-T", policy.ReasonPlaceholderMisplaced},
			{"/v1/x", "X-Api-Key", "bottle-placeholder-T", policy.ReasonPlaceholderMisplaced},
			{"/v1/bottle-placeholder-T", "", "", policy.ReasonPlaceholderMisplaced},
		} {
			req, _ := http.NewRequest("GET", c.url("api.example", tc.path), nil)
			if tc.field != "" {
				req.Header.Set(tc.field, tc.value)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get(wire.DenyHeader); got != string(tc.want) || resp.StatusCode != 403 {
				t.Errorf("%s with %s: %s: %s: %s, want %s", tc.path, tc.field, tc.value, resp.Status, got, tc.want)
			}
			if seen := c.upstream.Seen(); len(seen) != 0 {
				t.Errorf("%s with %s: %s: the upstream saw %+v", tc.path, tc.field, tc.value, seen)
			}
		}
	}
}

func TestPlaceholderIsReplacedInItsPlace(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	for _, value := range []string{"Bearer bottle-placeholder-T", "bottle-placeholder-T", "Basic eDpib3R0bGUtcGxhY2Vob2xkZXItVA=="} {
		req, _ := http.NewRequest("GET", c.url("api.example", "/v1/x"), nil)
		req.Header.Set("Authorization", value)
		resp, err := c.client(t, false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if seen := c.upstream.Seen(); len(seen) != 1 || len(seen[0].Header["Authorization"]) != 1 || seen[0].Header.Get("Authorization") != "Bearer real-token" {
			t.Errorf("%s: the upstream saw %+v", value, seen)
		}
	}
}

// TestPlaceholderInABody sends placeholders away in bodies: short ones, whose
// requests the upstream must not see at all, and long ones, of which it must not
// see the placeholder.
func TestPlaceholderInABody(t *testing.T) {
	yes := true
	c := startChain(t, nil, func(port string) []wire.Route {
		return []wire.Route{{Host: "api.example:" + port}, {Host: "other.example:" + port, BodyPlaceholders: &yes}}
	})
	const quoted = `{"env": "TOKEN=bottle-placeholder-T"}`
	long := strings.Repeat("0123456789abcdef", 8<<10) + quoted
	for _, h2 := range []bool{false, true} {
		client := c.client(t, h2)
		post := func(host string, body io.Reader) (status int, reason string) {
			resp, err := client.Post(c.url(host, "/x"), "application/json", body)
			if err != nil {
				return 0, ""
			}
			resp.Body.Close()
			return resp.StatusCode, resp.Header.Get(wire.DenyHeader)
		}
		if status, reason := post("api.example", strings.NewReader(quoted)); status != 403 || reason != string(policy.ReasonPlaceholderMisplaced) {
			t.Errorf("short: %d %s", status, reason)
		}
		if seen := c.upstream.Seen(); len(seen) != 0 {
			t.Errorf("short: the upstream saw %+v", seen)
		}
		for _, body := range []io.Reader{strings.NewReader(long), io.MultiReader(strings.NewReader(long))} { // with and without a length
			if status, _ := post("api.example", body); status != 403 && status != 0 {
				t.Errorf("long: %d", status)
			}
			for _, s := range c.upstream.Seen() {
				if s.Contains("placeholder") {
					t.Error("long: the upstream saw the placeholder")
				}
			}
		}
		if status, _ := post("other.example", strings.NewReader(quoted)); status != 200 {
			t.Errorf("where the route lets it pass: %d", status)
		}
		// What is left of the long ones may arrive at the upstream meanwhile.
		passed := slices.DeleteFunc(c.upstream.Seen(), func(s testkit.Seen) bool { return !strings.HasPrefix(s.Host, "other.example") })
		if len(passed) != 1 || string(passed[0].Body) != quoted {
			t.Errorf("where the route lets it pass, the upstream saw %v", passed)
		}
	}
}
