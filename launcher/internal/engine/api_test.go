package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/compose"
)

// stand is an engine of a test's on a socket: what it says of versions is what a
// real one says, word for word, the rest is the test's.
type stand struct {
	name, newest, oldest string
	// answer is asked for everything but versions; the path has none.
	answer func(method, path string, body []byte) (status int, out any)

	mu    sync.Mutex
	asked []string // "METHOD /vX.YY/path"
}

// The engines that were asked: Debian 12's, and that of Docker 29.
func debian() *stand { return &stand{name: "20.10.24+dfsg1", newest: "1.41", oldest: "1.12"} }
func current() *stand {
	return &stand{name: "29-v2.0.0-beta.24", newest: "1.56", oldest: "1.40"}
}

func (s *stand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Api-Version", s.newest)
	w.Header().Set("Server", "Docker/"+s.name+" (linux)")
	say := func(status int, out any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if out != nil {
			_ = json.NewEncoder(w).Encode(out)
		}
	}
	switch r.URL.Path {
	case "/_ping":
		_, _ = io.WriteString(w, "OK")
		return
	case "/version":
		say(200, map[string]any{"Version": s.name, "ApiVersion": s.newest, "MinAPIVersion": s.oldest, "Os": "linux"})
		return
	}
	version, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v"), "/")
	switch {
	case older(s.newest, version):
		say(400, map[string]string{"message": "client version " + version + " is too new. Maximum supported API version is " + s.newest})
	case older(version, s.oldest):
		say(400, map[string]string{"message": "client version " + version + " is too old. Minimum supported API version is " + s.oldest + ", please upgrade your client to a newer version"})
	case s.answer == nil:
		say(404, map[string]string{"message": "page not found"})
	default:
		say(s.answer(r.Method, "/"+path, body))
	}
}

func (s *stand) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// serve puts it on a socket and returns the engine that a launcher would find.
func (s *stand) serve(t *testing.T) *Engine {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	env := map[string]string{"PATH": dir, "DOCKER_HOST": "unix://" + filepath.Join(dir, "s")}
	return New(func(k string) string { return env[k] })
}

func TestLocalSocket(t *testing.T) {
	home := t.TempDir()
	config := func(text string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	const usual = "/var/run/docker.sock"
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing":                 {nil, usual},
		"a socket":                {map[string]string{"DOCKER_HOST": "unix:///run/e29/docker.sock"}, "/run/e29/docker.sock"},
		"a socket over a context": {map[string]string{"DOCKER_HOST": "unix:///s", "DOCKER_CONTEXT": "far"}, "/s"},
		"ssh":                     {map[string]string{"DOCKER_HOST": "ssh://far"}, ""},
		"tcp":                     {map[string]string{"DOCKER_HOST": "tcp://127.0.0.1:2376"}, ""},
		"a context":               {map[string]string{"DOCKER_CONTEXT": "far"}, ""},
		"the default context":     {map[string]string{"DOCKER_CONTEXT": "default"}, usual},
		"a configured context":    {map[string]string{"DOCKER_CONFIG": config(`{"currentContext":"desktop-linux"}`)}, ""},
		"the default, configured": {map[string]string{"DOCKER_CONFIG": config(`{"currentContext":"default","auths":{}}`)}, usual},
		"named over configured":   {map[string]string{"DOCKER_CONTEXT": "default", "DOCKER_CONFIG": config(`{"currentContext":"far"}`)}, usual},
		"a broken configuration":  {map[string]string{"DOCKER_CONFIG": config(`{`)}, ""},
		"no configuration":        {map[string]string{"HOME": home}, usual},
	} {
		if got := localSocket(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

// An engine is asked in the newest version that both sides know.
func TestVersionIsBothSides(t *testing.T) {
	for want, s := range map[string]*stand{"1.41": debian(), newestAPI: current(), "1.44": {name: "25", newest: "1.44", oldest: "1.24"}} {
		s.answer = func(_, path string, _ []byte) (int, any) { return 200, map[string]any{"ServerVersion": s.name} }
		e := s.serve(t)
		for range 3 {
			if info, err := e.Info(t.Context()); err != nil || info.ServerVersion != s.name {
				t.Fatalf("%s: %+v, %v", s.name, info, err)
			}
		}
		pings := 0
		for _, r := range s.requests() {
			if r == "GET /_ping" {
				pings++
			} else if r != "GET /version" && r != "GET /v"+want+"/info" {
				t.Errorf("%s was asked %s", s.name, r)
			}
		}
		if pings != 1 {
			t.Errorf("%s was asked for its version %d times", s.name, pings)
		}
	}
}

// An engine that knows none of our versions is named, with what can be done.
func TestVersionTooOld(t *testing.T) {
	s := current()
	s.newest, s.oldest = "1.70", "1.60"
	_, err := s.serve(t).Info(t.Context())
	var p *Problem
	if !errors.As(err, &p) {
		t.Fatalf("got %v", err)
	}
	if want := "the engine 29-v2.0.0-beta.24 wants version 1.60 of its interface at least, and this launcher knows none after " + newestAPI; p.What != want {
		t.Errorf("it says %q", p.What)
	}
	if !strings.Contains(p.Remedy, "update the launcher") {
		t.Errorf("the remedy is %q", p.Remedy)
	}
	if got := s.requests(); slices.ContainsFunc(got, func(r string) bool { return strings.HasPrefix(r, "GET /v"+newestAPI) }) {
		t.Errorf("it was asked anyway: %q", got)
	}
}

// What is no engine is said to be none, and one that comes up later is found.
func TestNoEngine(t *testing.T) {
	s := debian()
	s.newest = ""
	s.answer = func(string, string, []byte) (int, any) { return 200, map[string]any{} }
	e := s.serve(t)
	if _, err := e.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "no Docker engine") {
		t.Errorf("got %v", err)
	}
	s.newest = "1.41"
	if _, err := e.Info(t.Context()); err != nil {
		t.Errorf("later: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PATH": dir, "DOCKER_HOST": "unix://" + dir + "/none"}
	var p *Problem
	if _, err := New(func(k string) string { return env[k] }).Info(t.Context()); !errors.As(err, &p) || !strings.Contains(p.What, "no such file") {
		t.Errorf("got %v", err)
	}
}

// What the engine refuses is told in its words, and what is not there is known.
func TestRefusals(t *testing.T) {
	s := debian()
	s.answer = func(_, path string, _ []byte) (int, any) {
		switch path {
		case "/images/none:x/json":
			return 404, map[string]string{"message": "no such image: none:x: No such image: none:x"}
		case "/images/odd:x/json":
			return 500, nil
		}
		return 500, map[string]string{"message": "no \x1b[31mspace\nleft"}
	}
	e := s.serve(t)
	var p *Problem
	if _, err := e.Images(t.Context(), "none:x"); !errors.As(err, &p) || p.What != "the image none:x is missing" {
		t.Errorf("a missing image: %v", err)
	}
	if _, err := e.Images(t.Context(), "odd:x"); err == nil || !strings.Contains(err.Error(), "GET /v1.41/images/odd:x/json: 500") {
		t.Errorf("a refusal without words: %v", err)
	}
	if _, err := e.Networks(t.Context(), "l"); err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || !strings.Contains(err.Error(), "space") {
		t.Errorf("a refusal that is not fit to be printed: %v", err)
	}
}

// creation is two networks, a volume, and a container that is on both networks.
func creation() *compose.Creation {
	c := &compose.Creation{Networks: []compose.NetworkRequest{{Name: "p_inside"}, {Name: "p_outside"}}}
	c.Volumes = []compose.VolumeRequest{{Name: "p_hop", Driver: "local"}}
	c.Containers = []compose.ContainerRequest{{Name: "p-git-gate-1", Service: "git-gate", Joins: map[string]compose.Endpoint{"p_outside": {}}}}
	return c
}

func TestCreate(t *testing.T) {
	s := current()
	s.answer = func(_, path string, _ []byte) (int, any) {
		switch path {
		case "/containers/create":
			return 201, map[string]any{"Id": "c1", "Warnings": []string{}}
		case "/networks/create":
			return 201, map[string]any{"Id": "n", "Warning": ""}
		}
		return 200, nil
	}
	var mu sync.Mutex
	var done []string
	err := s.serve(t).Create(t.Context(), creation(), func(what string) {
		mu.Lock()
		defer mu.Unlock()
		done = append(done, what)
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(done)
	if want := []string{"container p-git-gate-1", "network p_inside", "network p_outside", "volume p_hop"}; !slices.Equal(done, want) {
		t.Errorf("told of %q", done)
	}
	v := "POST /v" + newestAPI
	want := []string{v + "/networks/create", v + "/networks/create", v + "/volumes/create", v + "/containers/create", v + "/networks/p_outside/connect"}
	got := s.requests()[2:]
	slices.Sort(got[:3]) // at once
	if !slices.Equal(got, want) {
		t.Errorf("asked for %q", got)
	}
}

// A launch that is given up waits for what the engine is making, so that the
// rollback finds it, and asks for no more.
func TestCancelDuringCreate(t *testing.T) {
	s := debian()
	begun, free := make(chan struct{}, 3), make(chan struct{})
	var made sync.Map
	s.answer = func(_, path string, body []byte) (int, any) {
		begun <- struct{}{}
		<-free
		made.Store(string(body), true)
		return 201, map[string]any{"Id": "n"}
	}
	e := s.serve(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- e.Create(ctx, creation(), func(string) {}) }()
	for range 3 {
		<-begun
	}
	gone := errors.New("the operator went away")
	cancel(gone)
	select {
	case err := <-failed:
		t.Fatalf("it came back while the engine was making things: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(free)
	if err := <-failed; !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	n := 0
	made.Range(func(any, any) bool { n++; return true })
	if n != 3 {
		t.Errorf("%d of 2 networks and a volume were made when it came back", n)
	}
	for _, r := range s.requests() {
		if strings.Contains(r, "/containers/") {
			t.Errorf("it went on with %s", r)
		}
	}
}

// One network that the engine refuses ends it, with its name.
func TestCreateRefused(t *testing.T) {
	s := current()
	s.answer = func(_, path string, body []byte) (int, any) {
		if strings.Contains(string(body), "p_outside") {
			return 403, map[string]string{"message": "invalid pool request: Pool overlaps with other one on this address space"}
		}
		return 201, map[string]any{"Id": "n"}
	}
	err := s.serve(t).Create(t.Context(), creation(), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "p_outside") || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("got %v", err)
	}
}

// Every builder of the client's finds the image that it goes on from: BuildKit knows
// names alone. The name goes again, unless the image has no other.
func TestBuildNamesItsBase(t *testing.T) {
	id := "sha256:" + strings.Repeat("a1", 32)
	for name, c := range map[string]struct {
		tags, network string
		kept, older   bool
	}{
		"named":             {`["bottle/agent-shell:dev"]`, "none", false, false},
		"without a name":    {`null`, "none", true, false},
		"named by us":       {`["bottle/agent-base:x"]`, "bridge", true, false},
		"a network of ours": {`["a:b"]`, "builds", false, true},
	} {
		var named, removed string
		s := current()
		s.answer = func(method, path string, _ []byte) (int, any) {
			if method == "DELETE" {
				removed = strings.TrimPrefix(path, "/images/")
			}
			return 200, map[string]any{"RepoTags": json.RawMessage(c.tags)}
		}
		e := s.serve(t)
		out := filepath.Join(t.TempDir(), "out")
		script := fmt.Sprintf("#!/bin/sh\necho \"$DOCKER_BUILDKIT $*\" >%[1]s\nexec /bin/cat >>%[1]s\n", out)
		if err := os.WriteFile(e.path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := e.Build(t.Context(), "bottle/agent-own:x", c.network, id, "FROM "+id+"\nRUN true\n"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		data, _ := os.ReadFile(out)
		args, text, _ := strings.Cut(string(data), "\n")
		if named = strings.TrimSuffix(strings.TrimPrefix(text, "FROM "), "\nRUN true\n"); !strings.HasPrefix(named, baseRepository+":") {
			t.Errorf("%s: built %q", name, text)
		}
		if c.kept != (removed == "") || !c.kept && removed != named {
			t.Errorf("%s: %q was removed of %q", name, removed, named)
		}
		network := map[string]string{"bridge": "default"}[c.network]
		if network == "" {
			network = c.network
		}
		if !strings.Contains(args, "--network "+network+" ") || strings.HasPrefix(args, "0 ") != c.older {
			t.Errorf("%s: the client was called with %q", name, args)
		}
	}
}
