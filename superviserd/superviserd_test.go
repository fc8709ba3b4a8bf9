package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// fixture is a running superviserd with its files.
type fixture struct {
	dir, url, config string
	box              queue.Box
}

const policyYAML = `policy:
  egress:
    routes:
      - host: api.example
        matches: [{path: {prefix: /v1/}, methods: [GET]}]
        auth: {scheme: Bearer, token_ref: API_TOKEN}
  pipelock: {allow: [{host: api.example}]}
`

// start runs superviserd on real sockets until the test ends.
func start(t *testing.T, wait string) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	port, admin := testkit.FreePort(t), testkit.FreePort(t)
	f.url = "http://localhost:" + port
	f.config = filepath.Join(f.dir, "superviserd.yaml")
	f.box = queue.Box{Proposals: filepath.Join(f.dir, "proposals"), Decisions: filepath.Join(f.dir, "decisions")}
	for _, d := range []string{f.box.Proposals, f.box.Decisions} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f.write(t, fmt.Sprintf("version: 1\nbottle: demo-abcde\nlisten: {mcp: 'localhost:%s', admin: '127.0.0.1:%s'}\nhosts: [localhost, supervise]\nqueue: {proposals: %s, decisions: %s}\nwait: %s\naudit: {file: %s}\n%s",
		port, admin, f.box.Proposals, f.box.Decisions, wait, filepath.Join(f.dir, "audit.jsonl"), policyYAML))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, []string{"--config", f.config}, nil, daemon.Stdio{Out: io.Discard, Err: io.Discard})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("superviserd ended with %v", err)
		}
	})
	for Run(ctx, []string{"--config", f.config, "healthcheck"}, nil, daemon.Stdio{Out: io.Discard, Err: io.Discard}) != nil {
		select {
		case err := <-done:
			t.Fatal("superviserd did not start: ", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return f
}

func (f *fixture) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(f.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// connect is an agent's MCP session.
func (f *fixture) connect(t *testing.T, progress func(*mcp.ProgressNotificationClientRequest)) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			if progress != nil {
				progress(r)
			}
		},
	})
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: f.url}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// call calls a tool and returns its structured answer and its text.
func call(t *testing.T, s *mcp.ClientSession, tool, args string, out any) string {
	t.Helper()
	text, isError := try(t, s, tool, args, out)
	if isError {
		t.Fatalf("%s %s: %s", tool, args, text)
	}
	return text
}

func try(t *testing.T, s *mcp.ClientSession, tool, args string, out any) (text string, isError bool) {
	t.Helper()
	p := &mcp.CallToolParams{Name: tool, Arguments: json.RawMessage(args)}
	p.SetProgressToken("token")
	r, err := s.CallTool(t.Context(), p)
	if err != nil {
		return err.Error(), true
	}
	for _, c := range r.Content {
		text += c.(*mcp.TextContent).Text
	}
	if !r.IsError && out != nil {
		data, _ := json.Marshal(r.StructuredContent)
		if err := json.Unmarshal(data, out); err != nil {
			t.Fatalf("%s: %v in %s", tool, err, data)
		}
	}
	return text, r.IsError
}

// asked waits until a proposal stands in the queue.
func (f *fixture) asked(t *testing.T) wire.Proposal {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if p, err := f.box.Pending(time.Now()); err == nil && len(p) == 1 {
			return p[0]
		}
	}
	t.Fatal("no proposal came")
	return wire.Proposal{}
}

const question = `{"host": "files.example", "matches": [{"path": {"exact": "/a"}, "methods": ["GET"]}], "justification": "To fetch the list."}`

func TestCallWaitsForTheDecision(t *testing.T) {
	f := start(t, "20s")
	told := make(chan string, 10)
	s := f.connect(t, func(r *mcp.ProgressNotificationClientRequest) { told <- r.Params.Message })
	go func() {
		p := f.asked(t)
		if p.Bottle != "demo-abcde" || p.Route.Host != "files.example" || p.Route.Matches[0].Path.Exact != "/a" {
			t.Errorf("the operator sees %+v", p)
		}
		if m := <-told; !strings.Contains(m, "waiting for the operator") {
			t.Errorf("progress: %q", m)
		}
		if err := f.box.Decide(wire.Decision{Version: 1, DecidedAt: wire.At(time.Now()), Proposal: p.ID, Verdict: wire.Approved, Scope: wire.ScopeFor,
			Expires: wire.At(time.Now().Add(time.Minute)), Changes: []string{"adds GET to /a of files.example"}}); err != nil {
			t.Error(err)
		}
	}()
	var a answer
	text := call(t, s, "egress-block", question, &a)
	if a.Status != "approved" || a.Scope != "for" || a.Expires == "" || len(a.Changes) != 1 || !strings.Contains(text, "retry the request") {
		t.Errorf("%+v\n%s", a, text)
	}
}

func TestPendingThenRejected(t *testing.T) {
	f := start(t, "300ms")
	s := f.connect(t, nil)
	var a, b answer
	if text := call(t, s, "egress-block", question, &a); a.Status != "pending" || !strings.Contains(text, a.ID) {
		t.Fatalf("%+v %s", a, text)
	}
	// Another session, as after a reconnect, asks the same and finds the same.
	if call(t, f.connect(t, nil), "egress-block", question, &b); b.ID != a.ID {
		t.Errorf("asked twice: %s and %s", a.ID, b.ID)
	}
	if err := f.box.Decide(wire.Decision{Version: 1, DecidedAt: wire.At(time.Now()), Proposal: a.ID, Verdict: wire.Rejected, Reason: "Use the mirror."}); err != nil {
		t.Fatal(err)
	}
	var st statusOutput
	text := call(t, s, "proposal-status", `{"id": "`+a.ID+`"}`, &st)
	if st.Proposals[0].Status != "rejected" || !strings.Contains(text, "Use the mirror.") {
		t.Errorf("%+v %s", st, text)
	}
	if call(t, s, "proposal-status", `{}`, &st); len(st.Proposals) != 1 {
		t.Errorf("all: %+v", st)
	}
}

func TestCancelledCallLeavesTheProposal(t *testing.T) {
	f := start(t, "5m")
	s := f.connect(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { f.asked(t); cancel() }()
	if _, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "egress-block", Arguments: json.RawMessage(question)}); err == nil {
		t.Error("the cancelled call returned an answer")
	}
	var st statusOutput
	if call(t, s, "proposal-status", `{}`, &st); len(st.Proposals) != 1 || st.Proposals[0].Status != "pending" {
		t.Errorf("after the cancellation: %+v", st)
	}
}

func TestBadQuestions(t *testing.T) {
	f := start(t, "10ms")
	s := f.connect(t, nil)
	for name, tc := range map[string]struct{ tool, args, want string }{
		"no reason":     {"egress-block", `{"host": "a.example", "justification": ""}`, "justification is empty"},
		"unknown key":   {"egress-block", `{"host": "a.example", "justification": "x", "expires": "2030-01-01T00:00:00Z"}`, "expires"},
		"top level":     {"egress-block", `{"host": "*.com", "justification": "x"}`, "top-level domain"},
		"unknown token": {"egress-block", `{"host": "a.example", "auth": {"scheme": "Bearer", "token_ref": "OTHER"}, "justification": "x"}`, "holds no token"},
		"FROM":          {"capability-block", `{"dockerfile": "FROM evil", "justification": "x"}`, "FROM"},
		"nothing":       {"pipelock-block", `{"justification": "x"}`, "name a host"},
		"no such id":    {"proposal-status", `{"id": "../../etc/passwd"}`, "there is no proposal"},
		"no git at all": {"gitleaks-allow", `{"remote": "app", "object": "` + strings.Repeat("a", 40) + `", "rule": "jwt", "justification": "x"}`, "no git remotes"},
		"any object":    {"gitleaks-allow", `{"remote": "app", "object": "*", "rule": "jwt", "justification": "x"}`, "object"},
		"null matches":  {"egress-block", `{"host": "a.example", "matches": null, "justification": "x"}`, "matches"},
	} {
		if text, isError := try(t, s, tc.tool, tc.args, nil); !isError || !strings.Contains(text, tc.want) {
			t.Errorf("%s: %v %s", name, isError, text)
		}
	}
	if p, err := f.box.Pending(time.Now()); err != nil || len(p) > 0 {
		t.Errorf("the queue has %v, %v", p, err)
	}
}

func TestTheAgentCannotDecide(t *testing.T) {
	f := start(t, "10ms")
	s := f.connect(t, nil)
	tools, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
		if tool.Description == "" || tool.OutputSchema == nil {
			t.Errorf("%s teaches nothing", tool.Name)
		}
	}
	if got := strings.Join(names, " "); got != "capability-block egress-block gitleaks-allow list-egress-routes pipelock-block proposal-status" {
		t.Errorf("the tools are %s", got)
	}
	var a answer
	call(t, s, "egress-block", question, &a)
	// superviserd runs where the decisions cannot be written; here the bytes of
	// the directory stay as they are, whatever is asked.
	if entries, _ := os.ReadDir(f.box.Decisions); len(entries) > 0 {
		t.Errorf("decisions appeared: %v", entries)
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
		req, _ := http.NewRequest(method, f.url+"/", strings.NewReader("verdict: approved"))
		if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode < 400 {
			t.Errorf("%s: %v %v", method, resp, err)
		}
	}
}

func TestGuard(t *testing.T) {
	f := start(t, "10ms")
	body := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
	for name, tc := range map[string]struct {
		path, host, origin string
		status             int
	}{
		"plain":         {"/", "localhost", "", 200},
		"alias":         {"/", "supervise:9100", "", 200},
		"rebound":       {"/", "evil.example", "", 403},
		"foreign page":  {"/", "localhost", "http://evil.example", 403},
		"null origin":   {"/", "localhost", "null", 403},
		"own origin":    {"/", "localhost", "http://localhost", 200},
		"other path":    {"/decide", "localhost", "", 403},
		"admin is away": {"/status", "localhost", "", 403},
	} {
		req, _ := http.NewRequest(http.MethodPost, f.url+tc.path, strings.NewReader(body))
		req.Host = tc.host
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		if tc.origin != "" {
			req.Header.Set("Origin", tc.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, tc.status)
		}
	}
}

func TestListAndReload(t *testing.T) {
	f := start(t, "10ms")
	s := f.connect(t, nil)
	var view struct {
		Egress struct{ Routes []map[string]any }
	}
	text := call(t, s, "list-egress-routes", `{}`, &view)
	if len(view.Egress.Routes) != 1 || !strings.Contains(text, "token_ref: API_TOKEN") {
		t.Errorf("%+v\n%s", view, text)
	}
	before, err := os.ReadFile(f.config)
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, strings.Replace(string(before), "host: api.example\n", "host: new.example\n", 1))
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(text, "new.example"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new policy was not shown: ", text)
		}
		text = call(t, s, "list-egress-routes", `{}`, nil) // in the same session
	}
}

func TestAuditHasEveryProposal(t *testing.T) {
	f := start(t, "10ms")
	s := f.connect(t, nil)
	var a answer
	call(t, s, "egress-block", question, &a)
	try(t, s, "egress-block", `{"host": "*.com", "justification": "x"}`, nil)
	data, err := os.ReadFile(filepath.Join(f.dir, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`"event":"proposal","rule":"egress-block","detail":"To fetch the list.","host":"files.example"`, `"request_id":"` + a.ID, `"decision":"deny","rule":"egress-block","detail":"not taken: `} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%s is missing from\n%s", want, data)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	f := start(t, "10ms")
	var last *mcp.ClientSession
	for range maxSessions + 5 {
		last = f.connect(t, nil)
	}
	call(t, last, "list-egress-routes", `{}`, nil)
}

func TestBadConfigurations(t *testing.T) {
	head := "version: 1\nbottle: b\nlisten: {mcp: ':1', admin: '127.0.0.1:1'}\naudit: {file: /a}\n"
	for name, tc := range map[string]struct{ text, want string }{
		"no queue":  {head + "hosts: [a]\n", "queue.proposals is missing"},
		"one queue": {head + "hosts: [a]\nqueue: {proposals: /q, decisions: /q}\n", "another directory"},
		"no hosts":  {head + "queue: {proposals: /p, decisions: /d}\n", "hosts is missing"},
		"port":      {head + "hosts: ['a:1']\nqueue: {proposals: /p, decisions: /d}\n", "without a port"},
		"patience":  {head + "hosts: [a]\nwait: 1h\nqueue: {proposals: /p, decisions: /d}\n", "wait is longer"},
		"unknown":   {head + "decide: yes\n", `unknown key "decide"`},
	} {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Run(t.Context(), []string{"validate", file}, nil, daemon.Stdio{Out: io.Discard, Err: io.Discard})
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
