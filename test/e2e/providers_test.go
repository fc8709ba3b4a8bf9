package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/test/modelapi"
	"github.com/bottlesuite/bottle/test/trial"
	"github.com/bottlesuite/bottle/test/upstream"
)

// programBottle holds a real agent program, which reaches its model's API by the
// API's own name, with the route that docs/providers.md gives.
const programBottle = `---
agent_provider: {template: <template>}
supervise: true
egress:
  routes:
<routes>
git:
  - name: app
    upstream: ssh://<user>@git.demo.example:<port><repository>
    identity_file: <identity>
    known_host_key: <hostkey>
    refs: {allow: ["refs/heads/agent/*"]}
pipelock:
  hosts: {<api>: <upstream>, open.demo.example: <upstream>, git.demo.example: <upstream>}
  allow_private: [<api>, open.demo.example]
  extra_ca: <ca>
env:
  GIT_AUTHOR_NAME: Agent
  GIT_AUTHOR_EMAIL: agent@demo.example
  GIT_COMMITTER_NAME: Agent
  GIT_COMMITTER_EMAIL: agent@demo.example
resources: {cpus: 2, memory: 3GiB, pids: 512}
---
`

// program is an agent program and how it is looked at.
type program struct {
	name, title string
	api, routes string
	// variable and key are the credential's; field is the header that it goes into.
	variable, key, field, value string
	// argv gives it one prompt.
	argv func(prompt string) []string
	// transcripts are where it keeps its conversations.
	transcripts string
	// declined are paths of the API that the program asks for at its start, that no
	// route allows, and that it goes on without.
	declined []string
	read     func(t *testing.T, line string) []said
}

// programTime bounds one run of an agent program.
const programTime = 3 * time.Minute

const programAnswer = "The note is pushed, and open.demo.example answers."

const programPrompt = "Write a note into the repository, push it on a branch of your own, and see whether open.demo.example answers."

func claudeCode() program {
	key := "sk-ant-api03-" + digits(93) + "AA"
	return program{
		name: "claude", title: "Claude Code", api: "api.anthropic.com", routes: `    - host: api.anthropic.com
      matches:
        - path: {prefix: /v1/messages}
          methods: [POST]
      auth: {scheme: header, header: x-api-key, token_ref: ANTHROPIC_API_KEY}`,
		variable: "ANTHROPIC_API_KEY", key: key, field: "X-Api-Key", value: key,
		argv: func(prompt string) []string {
			return []string{"claude", "--print", "--output-format", "stream-json", "--verbose", prompt}
		},
		transcripts: ".claude/projects/*/*.jsonl", read: readClaude,
		declined: []string{"/api/claude_code/settings", "/api/claude_code/policy_limits"},
	}
}

func codex() program {
	key := "sk-proj-" + digits(74) + "T3BlbkFJ" + digits(74)
	return program{
		name: "codex", title: "Codex", api: "api.openai.com", routes: `    - host: api.openai.com
      matches:
        - path: {prefix: /v1/responses}
          methods: [POST]
      auth: {scheme: Bearer, token_ref: OPENAI_API_KEY}`,
		variable: "OPENAI_API_KEY", key: key, field: "Authorization", value: "Bearer " + key,
		argv: func(prompt string) []string {
			return []string{"codex", "exec", "--json", "--skip-git-repo-check", prompt}
		},
		transcripts: ".codex/sessions/*/*/*/*.jsonl", read: readCodex,
	}
}

// TestClaudeCode and TestCodex have the real programs work in a bottle.
func TestClaudeCode(t *testing.T) { tellProgram(t, claudeCode()) }

func TestCodex(t *testing.T) { tellProgram(t, codex()) }

// tellProgram is the story of a real program in a bottle: it talks to its model,
// edits, commits and pushes, lists what it may reach, asks for a host, gets it and
// uses it. What counts is what the upstreams saw.
func tellProgram(t *testing.T, p program) {
	w := need(t)
	if err := exec.Command("docker", "image", "inspect", "bottle/agent-"+p.name+":dev").Run(); err != nil {
		t.Skipf("the image bottle/agent-%s:dev is missing, run `make images`", p.name)
	}
	if w.port != "443" {
		t.Skip("the program goes to port 443, which takes root to serve")
	}
	g := startGitServer(t)
	home := t.TempDir()
	manifest := strings.NewReplacer("<template>", p.name, "<routes>", p.routes, "<api>", p.api,
		"<user>", g.user, "<port>", g.port, "<repository>", g.bare, "<identity>", g.identity, "<hostkey>", g.hostKey).Replace(programBottle)
	if err := w.writeManifest(home, "coder", manifest); err != nil {
		t.Fatal(err)
	}
	b := startProgram(t, w, home, p)
	url := "ssh://" + g.user + "@git.demo.example:" + g.port + g.bare
	w.model.Play(modelapi.Script{Answer: programAnswer, Steps: []modelapi.Step{
		{Shell: "git clone -q " + url + " app && git -C app log --format=%s"},
		{Write: "/home/agent/workspace/app/note.md", Content: "# A note\nWritten in a bottle.\n"},
		{Shell: "cd app && git checkout -q -b agent/note && git add note.md && git commit -q -m 'A note' && git push origin HEAD"},
		{Server: "supervise", Tool: "list-egress-routes"},
		{Shell: "curl -sS " + w.url("open", "/v1/hello")},
		{Server: "supervise", Tool: "egress-block", Arguments: map[string]any{
			"host": w.site("open"), "matches": []any{map[string]any{"path": map[string]any{"exact": "/v1/hello"}, "methods": []string{"GET"}}},
			"justification": "To see whether it answers, as I was asked to.",
		}},
		{Shell: "curl -sS " + w.url("open", "/v1/hello")},
	}})
	before := w.upstream.Mark()
	out := runProgram(t, w, b, home, p)
	if trouble := w.model.Trouble(); len(trouble) > 0 || w.model.Finished() != 1 {
		t.Errorf("the model came to the end %d times; %q", w.model.Finished(), trouble)
	}
	sawProgram(t, w.upstream.Since(before), p, w.site("open"))
	if refs := g.refs(t); !strings.Contains(refs, "refs/heads/agent/note") {
		t.Errorf("the push did not arrive: %s", refs)
	}
	note, err := exec.Command("git", "-C", g.bare, "show", "agent/note:note.md").Output()
	if err != nil || string(note) != "# A note\nWritten in a bottle.\n" {
		t.Errorf("the upstream has the note %q, %v", note, err)
	}
	b.hasPlaceholdersOnly(t, p)
	b.refusedNothingElse(t, p)
	if lines := b.shell(t, "cat ~/"+p.transcripts+" | wc -l"); strings.TrimSpace(lines) < "1" {
		t.Errorf("the transcript has %s lines", lines)
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", clipped(out, 20000))
	}
	version := strings.TrimSpace(b.shell(t, p.name+" --version"))
	b.goesOn(t, w, home, p)
	writeTranscript(t, p, version, out, strings.NewReplacer(g.bare, "/srv/app.git", ":"+g.port, ":2222", b.id, "coder-4f9ka", g.user+"@", "git@"))
}

func startProgram(t *testing.T, w *world, home string, p program) *bottle {
	t.Helper()
	return w.mustStartAs(t, w.operator(home, p.variable+"="+p.key), "coder")
}

// runProgram has the program work on a prompt while the operator approves what it
// asks for, and returns what it printed.
func runProgram(t *testing.T, w *world, b *bottle, home string, p program) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTime)
	defer cancel()
	type ending struct {
		r   trial.Result
		err error
	}
	ended := make(chan ending, 1)
	go func() {
		r, err := b.Exec(ctx, "agent", "", p.argv(programPrompt)...)
		ended <- ending{r, err}
	}()
	approved := false
	for {
		select {
		case e := <-ended:
			if e.err != nil || e.r.Status != 0 {
				t.Errorf("the program ended with %v, %s", e.err, clipped(e.r.String(), 20000))
			}
			if !approved {
				t.Error("the operator was asked nothing")
			}
			return e.r.Stdout
		case <-time.After(200 * time.Millisecond):
		}
		if approved {
			continue
		}
		r := w.run(t, home, "proposals", "list")
		for _, line := range strings.Split(r.Stdout, "\n") {
			if strings.Contains(line, "open.demo.example") {
				id := strings.Fields(line)[0]
				if r := w.run(t, home, "proposals", "approve", id); r.Status != 0 {
					t.Errorf("approve: %s", r)
				}
				approved = true
			}
		}
	}
}

// sawProgram judges what the upstream saw: the model's API the real key and no
// placeholder, the agent's own prompt, and the host that was asked for one request.
func sawProgram(t *testing.T, requests []upstream.Request, p program, asked string) {
	t.Helper()
	turns, answered, prompted := 0, 0, false
	for _, r := range requests {
		if r.Contains(secret.PlaceholderPrefix) {
			t.Errorf("%s %s holds a placeholder: %v", r.Host, r.URI, r.Header)
		}
		switch r.Host {
		case p.api:
			turns++
			if values := r.Header.Values(p.field); len(values) != 1 || values[0] != p.value {
				t.Errorf("%s came with %d values of %s, not with the key", r.URI, len(values), p.field)
			}
			prompted = prompted || strings.Contains(string(r.Body), "A tester's prompt.")
		case asked:
			answered++
			if r.Contains(p.key) {
				t.Errorf("%s saw the key", r.Host)
			}
		default:
			t.Errorf("the program went to %s%s", r.Host, r.URI)
		}
	}
	if turns < 8 || answered != 1 || !prompted {
		t.Errorf("the upstream saw %d turns, %d requests to %s; the agent's prompt: %v", turns, answered, asked, prompted)
	}
}

// hasPlaceholdersOnly looks for the key wherever the agent, root included, could see
// it.
func (b *bottle) hasPlaceholdersOnly(t *testing.T, p program) {
	t.Helper()
	env := b.shell(t, "env")
	if !strings.Contains(env, p.variable+"="+secret.Placeholder(p.variable)+"\n") {
		t.Errorf("the guest's environment has no placeholder:\n%s", env)
	}
	for _, user := range users {
		r := b.exec(t, user, "k="+p.key[:20]+"; grep -rlsF $k /home /etc /tmp /run /opt /usr/local/etc /var; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -F $k; true")
		if r.Stdout != "" {
			t.Errorf("%s finds the key: %s", user, clipped(r.Stdout, 2000))
		}
	}
}

// refusedNothingElse: the proxies let through all that the program sent, but the
// one request before the approval and what it does without.
func (b *bottle) refusedNothingElse(t *testing.T, p program) {
	t.Helper()
	refused := 0
	for _, component := range []string{"egressd", "pipelockd", "gitgated"} {
		for _, l := range b.auditOf(t, component) {
			if l.Decision != policy.Deny {
				continue
			}
			if component == "egressd" && l.Reason == policy.ReasonHostNotAllowed && strings.HasPrefix(l.Host, "open.demo.example") {
				refused++
				continue
			}
			if component == "egressd" && l.Reason == policy.ReasonPathNotAllowed && l.Host == p.api && slices.Contains(p.declined, l.Path) {
				continue
			}
			t.Errorf("%s refused %s %s%s: %s, %s", component, l.Method, l.Host, l.Path, l.Reason, l.Detail)
		}
	}
	if refused != 1 {
		t.Errorf("egressd refused open.demo.example %d times before the approval, not once", refused)
	}
	b.awaitLine(t, "gitgated", "the push", func(l audit.Line) bool {
		return l.Decision == policy.Allow && strings.Contains(fmt.Sprint(l), "agent/note")
	})
}

// goesOn kills the launcher and resumes the bottle in a terminal: the program takes
// up the conversation where it was, and works on.
func (b *bottle) goesOn(t *testing.T, w *world, home string, p program) {
	t.Helper()
	if t.Failed() {
		return
	}
	if _, err := b.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.model.Play(modelapi.Script{Answer: "Nothing was lost."})
	before := w.upstream.Mark()
	terminal := w.terminal(t, home, "resume "+b.id+" --yes", p.variable+"="+p.key)
	terminal.until(programAnswer)
	time.Sleep(2 * time.Second) // the line that is typed into is drawn before it is read
	terminal.enter("Is anything lost?")
	terminal.until("Nothing was lost.")
	remembered := false
	for _, r := range w.upstream.Since(before) {
		if r.Host != p.api || r.Header.Get(p.field) != p.value {
			t.Errorf("the resumed program sent %s%s without the key", r.Host, r.URI)
		}
		remembered = remembered || strings.Contains(string(r.Body), "agent/note")
	}
	if !remembered {
		t.Error("the resumed program did not send what was said before")
	}
	var m struct{ PID int }
	data, err := os.ReadFile(filepath.Join(b.dir, "metadata.json"))
	if err != nil || json.Unmarshal(data, &m) != nil || m.PID == 0 {
		t.Fatalf("the bottle's metadata: %v, %s", err, data)
	}
	if err := syscall.Kill(m.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(execTime); w.list(t, home)[0].State != "stopped"; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the resumed bottle did not stop")
		}
	}
	if err := remains(b.id); err != nil {
		t.Error(err)
	}
}

func clipped(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// handlers are all that the upstream serves beside its endpoints.
func (w *world) handlers() map[string]http.Handler {
	all := clientHandlers()
	for path, h := range w.model.Handlers() {
		all[path] = h
	}
	return all
}
