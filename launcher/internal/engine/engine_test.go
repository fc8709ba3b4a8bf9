package engine

import (
	"encoding/json"
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

// What is kept of a log may be looked at with any tool, so it is fit to be
// printed already.
func TestKeptLogsHoldNoEscapes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\nprintf 'a\\033[2J\\r\\n'\nprintf 'b\\302\\233' >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := New(func(k string) string { return map[string]string{"PATH": dir}[k] })
	var saved strings.Builder
	if err := e.SaveLogs(t.Context(), "c", &saved); err != nil || saved.String() != "a\\x1b[2J\nb\\u009b\n" {
		t.Errorf("saved %q, %v", saved.String(), err)
	}
	if got := e.Tail(t.Context(), "c", 5); got != "a\\x1b[2J\nb\\u009b" {
		t.Errorf("the tail is %q", got)
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

// Engines are told by what they say of themselves; these are the words of Debian 12's.
func TestUnfit(t *testing.T) {
	for name, tc := range map[string]struct{ info, want string }{
		"docker":   {`{"ServerVersion":"20.10.24+dfsg1","SecurityOptions":["name=apparmor","name=seccomp,profile=default"],"Plugins":{"Log":["awslogs","fluentd","journald","json-file"]}}`, ""},
		"podman":   {`{"ServerVersion":"4.3.1","Plugins":{"Log":["k8s-file","none","passthrough","journald"]},"Runtimes":{"runsc":{"path":"/usr/bin/runsc"}}}`, "Podman 4.3.1"},
		"rootless": {`{"ServerVersion":"20.10.24","SecurityOptions":["name=seccomp,profile=default","name=rootless"]}`, "maps users"},
		"remapped": {`{"ServerVersion":"20.10.24","SecurityOptions":["name=userns"]}`, "maps users"},
	} {
		var i Info
		if err := json.Unmarshal([]byte(tc.info), &i); err != nil {
			t.Fatal(err)
		}
		err := i.Unfit()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
