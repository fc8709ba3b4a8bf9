package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNewPassesNoTokens(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PATH": "relative:/nowhere:" + dir, "HOME": "/h", "GITHUB_TOKEN": "x", "COMPOSE_FILE": "y", "DOCKER_HOST": "tcp://h"}
	e := New(func(k string) string { return env[k] })
	if e.path != filepath.Join(dir, "docker") {
		t.Errorf("the client is %q", e.path)
	}
	slices.Sort(e.env)
	if got := strings.Join(e.env, " "); got != "DOCKER_HOST=tcp://h HOME=/h PATH="+env["PATH"] {
		t.Errorf("the client gets %s", got)
	}
}

func TestNoClient(t *testing.T) {
	e := New(func(string) string { return "" })
	if _, err := e.Info(t.Context()); err != errNoClient {
		t.Errorf("got %v", err)
	}
	if err := e.Exec(t.Context(), "c", "agent", []string{"true"}, Streams{}); err != errNoClient {
		t.Errorf("got %v", err)
	}
}

func TestOlder(t *testing.T) {
	for v, want := range map[string]bool{
		"2.19.9": true, "2.20.0": false, "2.20.1": false, "5.6.0": false, "1.29.2": true, "dev": false, "2.19.0-desktop.1": true, "2.20.0+ds1": false, "10.0": false,
	} {
		if older(v, MinCompose) != want {
			t.Errorf("%s: not %v", v, want)
		}
	}
}
