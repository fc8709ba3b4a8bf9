package main

import (
	"net/http"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

func TestStripAndInject(t *testing.T) {
	c := credentials{"T": newSecret("real")}
	for _, tc := range []struct {
		auth         wire.Auth
		field, value string
	}{
		{wire.Auth{Scheme: "Bearer", TokenRef: "T"}, "Authorization", "Bearer real"},
		{wire.Auth{Scheme: "token", TokenRef: "T"}, "Authorization", "token real"},
		{wire.Auth{Scheme: "Basic", TokenRef: "T"}, "Authorization", "Basic cmVhbA=="},
		{wire.Auth{Scheme: "header", Header: "x-api-key", TokenRef: "T"}, "X-Api-Key", "real"},
		{wire.Auth{Scheme: "header", Header: "x-my-key", TokenRef: "T"}, "X-My-Key", "real"},
	} {
		h := http.Header{"Authorization": {"Bearer own", "Basic own"}, "X-Api-Key": {"own"}, "X-Http-Method-Override": {"DELETE"}, "Bottle-Relay": {"own"}, "X-Bottle-Deny": {"own"}, "X_api_key": {"own"}, "X_http_method_override": {"PUT"}, "X-My-Key": {"own"}, "Accept": {"*/*"}}
		strip(h)
		h.Del("X-My-Key")
		h["X_my_key"] = []string{"own"}
		if tc.auth.Header != "x-my-key" {
			delete(h, "X_my_key")
		}
		field, ok := c.inject(h, tc.auth)
		if !ok || field != tc.field || len(h) != 2 || len(h[field]) != 1 || h.Get(field) != tc.value || h.Get("Accept") != "*/*" {
			t.Errorf("%+v: got %v", tc.auth, h)
		}
	}
	if _, ok := c.inject(http.Header{}, wire.Auth{Scheme: "Bearer", TokenRef: "OTHER"}); ok {
		t.Error("injected a token that is not there")
	}
}

func TestStripCredentials(t *testing.T) {
	h := http.Header{"Accept": {"*/*"}, "Content-Type": {"x"}, "X-Request-Id": {"x"}, "Anthropic-Version": {"x"}}
	for _, own := range []string{"Cookie", "X-Github-Token", "X-Auth-Key", "Deploy-Token", "Authentication", "X-Authorization", "X-Original-Authorization", "Dpop", "Authorization_", "Http_authorization", "X-Vault-Token", "Token-Id"} {
		h[own] = []string{"own"}
	}
	stripCredentials(h)
	if len(h) != 4 {
		t.Errorf("left: %v", h)
	}
}
