package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// TestMain lets the test binary be gitgated itself, for the daemon that tests
// start as a process of its own and for the helpers that git calls.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"ssh-link", "credential", "serve", "check", "validate", "status"}, os.Args[1]) {
		os.Exit(daemon.Main(Run))
	}
	if len(os.Args) == 3 && os.Args[1] == "bench-table" {
		os.Exit(writeTable(os.Args[2]))
	}
	code := m.Run()
	_ = os.RemoveAll(template.dir) // in the system's directory for such
	os.Exit(code)
}

// world is an upstream, a gate in front of it, and an agent behind that.
type world struct {
	t        testing.TB
	dir      string
	bare     string // the upstream's repository
	config   wire.Gitgated
	file     string // of the configuration
	daemon   *exec.Cmd
	log      *lockedBuffer
	requests *requests
	http     string // the gate's addresses
	gitPort  string
	home     string // of the agent
	said     string // of the last push
	before   string // the upstream before it
	token    string
	path     string // of commands that an sshd offers beside the system's
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// requests are what the https upstream heard.
type requests struct {
	mu   sync.Mutex
	list []string
}

func (r *requests) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, s)
}

func (r *requests) count(part string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.list {
		if strings.Contains(s, part) {
			n++
		}
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)[:n]
}

// secretToken makes what looks like a token of GitHub, new each time.
func secretToken() string { return "ghp_" + random(36) }

// bareWorld makes an upstream with one commit on main, and no gate yet.
func bareWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &lockedBuffer{}, requests: &requests{}, token: "tok-" + random(24)}
	w.home, w.bare = filepath.Join(w.dir, "home"), filepath.Join(w.dir, "upstream", "group", "app.git")
	w.seed()
	w.http, w.gitPort = testkit.FreeAddress(t), testkit.FreeAddress(t)
	w.file = filepath.Join(w.dir, "gitgated.yaml")
	w.config = wire.Gitgated{
		Version: 1, Bottle: "demo-ab12z", Listen: wire.GitgatedListen{HTTP: w.http, Git: w.gitPort, Admin: testkit.FreeAddress(t)},
		Audit: wire.Audit{File: filepath.Join(w.dir, "audit.jsonl")}, State: filepath.Join(w.dir, "state"),
		SecretsDir: filepath.Join(w.dir, "secrets"), FetchMaxAge: wire.Duration(time.Millisecond),
	}
	must(t, os.Mkdir(w.config.SecretsDir, 0o700))
	return w
}

// template is a directory with what every world begins with, made once.
var template struct {
	sync.Mutex
	dir string
}

// seed gives the world an upstream with one commit, the clone that it came from,
// and the home of the agent.
func (w *world) seed() {
	w.t.Helper()
	template.Lock()
	defer template.Unlock()
	if template.dir == "" {
		dir, err := os.MkdirTemp("", "gitgated-test-")
		must(w.t, err)
		template.dir = dir
		t := &world{t: w.t, dir: dir, home: filepath.Join(dir, "home"), bare: filepath.Join(dir, "upstream", "group", "app.git")}
		t.plant()
	}
	must(w.t, os.CopyFS(w.dir, os.DirFS(template.dir)))
}

func (w *world) plant() {
	w.t.Helper()
	must(w.t, errors.Join(os.MkdirAll(w.home, 0o700), os.MkdirAll(filepath.Dir(w.bare), 0o700)))
	must(w.t, os.WriteFile(filepath.Join(w.home, ".gitconfig"), []byte("[user]\n\tname = Agent\n\temail = agent@example.com\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"), 0o600))
	w.git("", "init", "--quiet", "--bare", w.bare)
	for _, kv := range []string{"http.receivepack=true", "core.logAllRefUpdates=always", "uploadpack.allowFilter=true"} {
		k, v, _ := strings.Cut(kv, "=")
		w.git(w.bare, "config", k, v)
	}
	seed := filepath.Join(w.dir, "seed")
	w.git("", "init", "--quiet", seed)
	w.write(seed, "README.md", "hello\n")
	w.git(seed, "add", ".")
	w.git(seed, "commit", "--quiet", "-m", "The beginning")
	w.git(seed, "push", "--quiet", w.bare, "main")
	w.git(seed, "tag", "v1")
	w.git(seed, "push", "--quiet", w.bare, "v1")
}

// overHTTPS gives the world an https upstream and a remote for it.
func (w *world) overHTTPS() *world {
	backend, err := exec.Command("git", "--exec-path").Output()
	must(w.t, err)
	handler := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(backend)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Join(w.dir, "upstream"), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=bot", "GIT_CONFIG_GLOBAL=" + filepath.Join(w.home, ".gitconfig")},
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		w.requests.add(r.Method + " " + r.URL.RequestURI())
		if user != "x-access-token" || pass != w.token {
			rw.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.Contains(r.URL.Path, "/lfs/") {
			w.serveLFS(rw, r)
			return
		}
		if r.ContentLength < 0 { // which net/http/cgi does not take
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		}
		if v := r.Header.Get("Git-Protocol"); v != "" {
			h := *handler
			h.Env = append(slices.Clone(handler.Env), "GIT_PROTOCOL="+v)
			h.ServeHTTP(rw, r)
			return
		}
		handler.ServeHTTP(rw, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	w.t.Cleanup(server.Close)
	ca := filepath.Join(w.dir, "ca.pem")
	must(w.t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	must(w.t, os.WriteFile(filepath.Join(w.config.SecretsDir, "APP_TOKEN"), []byte(w.token+"\n"), 0o600))
	w.config.UpstreamCA = []string{ca}
	w.config.Remotes = []wire.GitRemote{{Name: "app", Upstream: server.URL + "/group/app.git", TokenRef: "APP_TOKEN", Refs: agentRefs()}}
	return w
}

func agentRefs() wire.GitRefs {
	return wire.GitRefs{Allow: []string{"refs/heads/agent/*", "refs/tags/*", "refs/notes/*"}}
}

// writeConfig writes the configuration as it is now.
func (w *world) writeConfig() {
	w.t.Helper()
	data, err := yaml.Marshal(w.config)
	must(w.t, err)
	must(w.t, os.WriteFile(w.file, data, 0o600))
}

// start starts the gate and waits until it listens.
func (w *world) start() *world {
	w.t.Helper()
	w.writeConfig()
	w.launch()
	w.t.Cleanup(func() {
		_ = w.daemon.Process.Signal(syscall.SIGTERM)
		_ = w.daemon.Wait()
		if w.t.Failed() {
			w.t.Logf("the gate's log:\n%s", tail(w.log.String()))
		}
	})
	return w
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

func (w *world) launch() {
	w.t.Helper()
	self, err := os.Executable()
	must(w.t, err)
	w.daemon = exec.Command(self, "serve", "--config", w.file)
	w.daemon.Stdout, w.daemon.Stderr = w.log, w.log
	must(w.t, w.daemon.Start())
	waitFor(w.t, w.http)
}

// environment is the agent's.
func (w *world) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1"}
}

// try runs git as the agent and returns what it said.
func (w *world) try(dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = dir, w.environment()
	if dir == "" {
		cmd.Dir = w.dir
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	out, err := w.try(dir, args...)
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func (w *world) write(dir, name, text string) {
	w.t.Helper()
	path := filepath.Join(dir, name)
	must(w.t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)))
}

func (w *world) url() string { return "http://" + w.http + "/app.git" }

// clone makes a clone through the gate on a branch of the agent's.
func (w *world) clone() string {
	w.t.Helper()
	dir := filepath.Join(w.dir, "clone-"+random(6))
	w.git("", "clone", "--quiet", w.url(), dir)
	w.git(dir, "checkout", "--quiet", "-b", "agent/work")
	return dir
}

// commit adds a file.
func (w *world) commit(dir, name, text, message string) {
	w.t.Helper()
	w.write(dir, name, text)
	w.git(dir, "add", "-f", name)
	w.git(dir, "commit", "--quiet", "-m", message)
}

// state is all of the upstream that a push could change.
func (w *world) state() string {
	w.t.Helper()
	refs := w.git(w.bare, "for-each-ref")
	var logs bytes.Buffer
	_ = filepath.Walk(filepath.Join(w.bare, "logs"), func(path string, fi os.FileInfo, err error) error {
		if err == nil && !fi.IsDir() {
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&logs, "%s\n%s", path, data)
		}
		return nil
	})
	return refs + "\n" + logs.String() + w.git(w.bare, "count-objects", "-v")
}

// audit are the gate's audit lines; their chain must hold.
func (w *world) audit() []audit.Line {
	w.t.Helper()
	data, err := os.ReadFile(w.config.Audit.File)
	must(w.t, err)
	if _, err := audit.Verify(bytes.NewReader(data)); err != nil {
		w.t.Error(err)
	}
	var lines []audit.Line
	for l := range strings.Lines(string(data)) {
		var line audit.Line
		must(w.t, unmarshal(l, &line))
		lines = append(lines, line)
	}
	return lines
}
