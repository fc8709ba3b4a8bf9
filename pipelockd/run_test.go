package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/daemon"
)

const goodConfig = `version: 1
bottle: demo
listen: {proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}
ca: {certificate: /ca/cert.pem, key: /ca/key.pem}
audit: {file: /var/log/audit.jsonl}
allow:
  - host: api.example
  - {host: "*.cdn.example", websocket: true}
  - host: plain.example:80
allow_private: [git.corp.example, 10.1.0.0/16]
hosts: {git.corp.example: 10.1.2.3}
`

// command runs pipelockd and returns its exit status and what it said.
func command(t *testing.T, config string, args ...string) (code int, out string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pipelockd.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	err := Run(context.Background(), append([]string{"--config", file}, args...), nil, daemon.Stdio{Out: &buf, Err: &buf})
	var exit *daemon.ExitError
	switch {
	case err == nil:
		return 0, buf.String()
	case errors.As(err, &exit):
		return exit.Code, buf.String() + err.Error()
	}
	return 1, buf.String() + err.Error()
}

func TestCheck(t *testing.T) {
	tests := []struct {
		method, url string
		code        int
		want        string
	}{
		{"GET", "https://api.example/x", 0, "allow[0]"},
		{"GET", "https://API.example:443/x", 0, "allow[0]"},
		{"GET", "https://a.b.cdn.example/", 0, "allow[1]"},
		{"GET", "http://plain.example/", 0, "allow[2]"},
		{"GET", "https://cdn.example/", 3, "host_not_allowed"},
		{"GET", "https://api.example:22/", 3, "host_not_allowed"},
		{"GET", "http://api.example/", 3, "host_not_allowed"},
		{"GET", "http://api.example:443/", 3, "host_not_allowed"},
		{"GET", "https://127.0.0.1/", 3, "bad_authority"},
		{"GET", "https://u:p@api.example/", 3, "bad_authority"},
		{"TRACE", "https://api.example/", 3, "bad_request"},
		{"GET", "https://api.example/?k=" + secret, 3, "secret_found"},
		{"GET", "ftp://api.example/", 2, "not an http"},
		{"GET", "api.example", 2, "not an http"},
	}
	for _, tt := range tests {
		code, out := command(t, goodConfig, "check", tt.method, tt.url)
		if code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("check %s %s: %d %q, want %d with %q", tt.method, tt.url, code, out, tt.code, tt.want)
		}
		if strings.Contains(out, secret) {
			t.Errorf("check repeats the secret: %q", out)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct{ old, new, want string }{
		{"", "", ""},
		{"host: api.example", "host: '*.com'", "pipelockd.yaml:7:"},
		{"host: api.example", "host: 10.0.0.1", "address literal"},
		{"host: api.example", "hots: api.example", "did you mean"},
		{"10.1.0.0/16", "10.1.0.1/16", "10.1.0.0/16"},
		{"10.1.2.3", "nowhere", "not an IP address"},
		{"{git.corp.example:", "{10.0.0.1:", "not a host name"},
		{`proxy: "127.0.0.1:0", `, "", "listen.proxy is missing"},
		{`proxy: "127.0.0.1:0"`, "proxy: unix:///run/bottle/hop/pipelockd.sock", ""},
		{`proxy: "127.0.0.1:0"`, "proxy: unix://run/hop.sock", `listen.proxy: "unix://run/hop.sock" is not`},
		{"key: /ca/key.pem", "key: ''", "ca.key is missing"},
		{"version: 1", "version: 9", "version 9"},
		{"hosts: {", "dns: {listen: ':53', names: {a: '::1'}}\nhosts: {", "IPv4"},
		{"hosts: {", "dns: {names: {a: 10.0.0.1}}\nhosts: {", "dns.listen is missing"},
	}
	for _, tt := range tests {
		code, out := command(t, strings.Replace(goodConfig, tt.old, tt.new, 1), "validate")
		if tt.want == "" && code != 0 || tt.want != "" && (code != 2 || !strings.Contains(out, tt.want)) {
			t.Errorf("%q: %d %q, want %q", tt.new, code, out, tt.want)
		}
	}
}
